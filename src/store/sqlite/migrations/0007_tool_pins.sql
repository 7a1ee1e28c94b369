-- The definitions of tools. `accepted` is the digest of the one that counts; `changed` of another that waits for a decision.
CREATE TABLE tool_pins (
  operation_id TEXT NOT NULL,
  tool TEXT NOT NULL,
  accepted BLOB NOT NULL CHECK (length(accepted) = 32),
  definition TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  changed BLOB CHECK (length(changed) = 32),
  changed_definition TEXT,
  changed_at INTEGER,
  decision INTEGER CHECK (decision IN (0, 1)),
  decided_by TEXT,
  decided_at INTEGER,
  PRIMARY KEY (operation_id, tool)
) STRICT;
