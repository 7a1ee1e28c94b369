-- The definitions of tools. `accepted` is the digest of the one that counts; `changed` of another that waits for a decision.
CREATE TABLE tool_pins (
  operation_id TEXT NOT NULL,
  tool TEXT NOT NULL,
  accepted BYTEA NOT NULL,
  definition TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  changed BYTEA,
  changed_definition TEXT,
  changed_at BIGINT,
  decision BOOLEAN,
  decided_by TEXT,
  decided_at BIGINT,
  PRIMARY KEY (operation_id, tool)
);

CREATE OR REPLACE FUNCTION announce_tool() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sallyport_' || md5(TG_TABLE_SCHEMA),
                      left(json_build_object('tools', NEW.operation_id)::text, 1900));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tool_changed AFTER INSERT OR UPDATE ON tool_pins
    FOR EACH ROW EXECUTE FUNCTION announce_tool();
