-- What other replicas may still believe in is announced to them by the transaction that changes it, whichever statement
-- that is. The channel is named after the schema, since channels belong to a whole database. What does not fit is cut
-- off, and then means that anything may have changed.

CREATE OR REPLACE FUNCTION announce_grant() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sallyport_' || md5(TG_TABLE_SCHEMA), left(json_build_object('grant', OLD.id)::text, 1900));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION announce_access_token() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sallyport_' || md5(TG_TABLE_SCHEMA),
                      json_build_object('token', encode(OLD.digest, 'hex'))::text);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION announce_connection() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    live_version BIGINT;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state = 'live' THEN
        live_version := NEW.version;
    END IF;
    PERFORM pg_notify('sallyport_' || md5(TG_TABLE_SCHEMA),
                      left(json_build_object('connection', json_build_array(OLD.owner, OLD.upstream_id, live_version))::text,
                           1900));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER grant_revoked AFTER UPDATE OF revoked_at ON grants
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION announce_grant();

-- One that is removed while it lives; the clean-up removes what has ended.
CREATE OR REPLACE TRIGGER grant_removed AFTER DELETE ON grants
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND OLD.expires_at > 1000 * extract(epoch FROM now()))
    EXECUTE FUNCTION announce_grant();

CREATE OR REPLACE TRIGGER access_token_revoked AFTER DELETE ON access_tokens
    FOR EACH ROW WHEN (OLD.expires_at > 1000 * extract(epoch FROM now())) EXECUTE FUNCTION announce_access_token();

CREATE OR REPLACE TRIGGER connection_changed AFTER UPDATE OF state, version OR DELETE ON connections
    FOR EACH ROW EXECUTE FUNCTION announce_connection();
