-- The role and the database of giftgql, made once, on the primary: psql -f deploy/database.sql
-- Then give the role a password: \password giftgql

CREATE ROLE giftgql LOGIN;
CREATE DATABASE giftgql OWNER giftgql;

-- What holds where a session sets nothing itself: reading by way of pgbouncer. As the settings
-- GIFTGQL_STATEMENT_SECONDS, GIFTGQL_LOCK_SECONDS and GIFTGQL_IDLE_SECONDS are by default.
ALTER ROLE giftgql SET statement_timeout = '5s';
ALTER ROLE giftgql SET lock_timeout = '3s';
ALTER ROLE giftgql SET idle_in_transaction_session_timeout = '10s';

-- Values never get into PostgreSQL's log, nor do statements that failed.
ALTER ROLE giftgql SET log_parameter_max_length = 0;
ALTER ROLE giftgql SET log_parameter_max_length_on_error = 0;
ALTER ROLE giftgql SET log_min_error_statement = 'panic';

-- For the replica.
CREATE ROLE replicator LOGIN REPLICATION;
