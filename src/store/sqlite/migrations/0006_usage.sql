-- Roll-ups of what happened. `period` is their length and `since` their beginning, in milliseconds. `g0` to `g11` count
-- the gateway's part of the latency by buckets, `u0` to `u11` the upstream's.
CREATE TABLE usage_rollups (
  period INTEGER NOT NULL,
  since INTEGER NOT NULL,
  operation_id TEXT NOT NULL,
  method TEXT NOT NULL,
  capability TEXT NOT NULL,
  subject TEXT NOT NULL,
  client_id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  origin TEXT NOT NULL,
  reason TEXT NOT NULL,
  calls INTEGER NOT NULL,
  g0 INTEGER NOT NULL, g1 INTEGER NOT NULL, g2 INTEGER NOT NULL, g3 INTEGER NOT NULL, g4 INTEGER NOT NULL, g5 INTEGER NOT NULL,
  g6 INTEGER NOT NULL, g7 INTEGER NOT NULL, g8 INTEGER NOT NULL, g9 INTEGER NOT NULL, g10 INTEGER NOT NULL, g11 INTEGER NOT NULL,
  u0 INTEGER NOT NULL, u1 INTEGER NOT NULL, u2 INTEGER NOT NULL, u3 INTEGER NOT NULL, u4 INTEGER NOT NULL, u5 INTEGER NOT NULL,
  u6 INTEGER NOT NULL, u7 INTEGER NOT NULL, u8 INTEGER NOT NULL, u9 INTEGER NOT NULL, u10 INTEGER NOT NULL, u11 INTEGER NOT NULL,
  PRIMARY KEY (period, since, operation_id, method, capability, subject, client_id, outcome, origin, reason)
) STRICT, WITHOUT ROWID;
