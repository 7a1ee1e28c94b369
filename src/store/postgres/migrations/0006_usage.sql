-- Roll-ups of what happened. `period` is their length and `since` their beginning, in milliseconds. `g0` to `g11` count
-- the gateway's part of the latency by buckets, `u0` to `u11` the upstream's.
CREATE TABLE usage_rollups (
  period BIGINT NOT NULL,
  since BIGINT NOT NULL,
  operation_id TEXT NOT NULL,
  method TEXT NOT NULL,
  capability TEXT NOT NULL,
  subject TEXT NOT NULL,
  client_id TEXT NOT NULL,
  outcome TEXT NOT NULL,
  origin TEXT NOT NULL,
  reason TEXT NOT NULL,
  calls BIGINT NOT NULL,
  g0 BIGINT NOT NULL, g1 BIGINT NOT NULL, g2 BIGINT NOT NULL, g3 BIGINT NOT NULL, g4 BIGINT NOT NULL, g5 BIGINT NOT NULL,
  g6 BIGINT NOT NULL, g7 BIGINT NOT NULL, g8 BIGINT NOT NULL, g9 BIGINT NOT NULL, g10 BIGINT NOT NULL, g11 BIGINT NOT NULL,
  u0 BIGINT NOT NULL, u1 BIGINT NOT NULL, u2 BIGINT NOT NULL, u3 BIGINT NOT NULL, u4 BIGINT NOT NULL, u5 BIGINT NOT NULL,
  u6 BIGINT NOT NULL, u7 BIGINT NOT NULL, u8 BIGINT NOT NULL, u9 BIGINT NOT NULL, u10 BIGINT NOT NULL, u11 BIGINT NOT NULL,
  PRIMARY KEY (period, since, operation_id, method, capability, subject, client_id, outcome, origin, reason)
);
