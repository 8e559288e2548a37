-- The schema of a new installation: migrations/*.sql, one after the other
-- (written by `make sql/schema.sql`, compared by `make check`).

-- 0001: the first schema.
--
-- InnoDB, utf8mb4; every time is DATETIME(6) in UTC by the database's clock.
-- Portable to MariaDB 10.6+, MySQL 8, Galera and TiDB: no stored procedures,
-- triggers or foreign keys, no reliance on the order of AUTO_INCREMENT.

CREATE TABLE IF NOT EXISTS otpreg_schema (
    version             INT UNSIGNED NOT NULL,
    applied_at          DATETIME(6) NOT NULL,
    PRIMARY KEY (version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- One row a sign-up.  The *_key columns hold canonical forms, compared as
-- bytes.  verified_at is NULL until all that had to be proved was proved, and
-- the *_owner columns until then, too, so a name or an address is unique among
-- verified users only: any number of sign-ups may wait for it, the first that
-- proves it wins, the others never can.
-- is_active is the administrator's switch once a user is verified.

CREATE TABLE IF NOT EXISTS users (
    id                  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    username            VARCHAR(150) NULL,
    email               VARCHAR(254) NULL,
    phone               VARCHAR(16) NULL,
    password            VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    is_active           TINYINT(1) NOT NULL DEFAULT 0,
    email_verified_at   DATETIME(6) NULL,
    phone_verified_at   DATETIME(6) NULL,
    verified_at         DATETIME(6) NULL,
    created_at          DATETIME(6) NOT NULL,
    username_key        VARBINARY(150) NULL,
    email_key           VARBINARY(254) NULL,
    phone_key           VARBINARY(16) NULL,
    username_owner      VARBINARY(150) GENERATED ALWAYS AS
                            (IF(verified_at IS NULL,
                                NULL, username_key)) STORED,
    email_owner         VARBINARY(254) GENERATED ALWAYS AS
                            (IF(verified_at IS NULL
                                OR email_verified_at IS NULL,
                                NULL, email_key)) STORED,
    phone_owner         VARBINARY(16) GENERATED ALWAYS AS
                            (IF(verified_at IS NULL
                                OR phone_verified_at IS NULL,
                                NULL, phone_key)) STORED,
    PRIMARY KEY (id),
    UNIQUE KEY users_username_owner (username_owner),
    UNIQUE KEY users_email_owner (email_owner),
    UNIQUE KEY users_phone_owner (phone_owner),
    KEY users_created_at (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- One row an OTP.  The code is derived from the row and a key that is not in
-- the database.  A decoy is the OTP of a sign-up for an address that has an
-- owner: its code is sent to nobody, and it activates nobody.  A sign-up has
-- one OTP after the other: superseded_by leads to the newest, changes counts
-- how often its address was changed.
-- last_attempt is the random number of the newest attempt that was admitted:
-- it tells whose attempt it was when a connection was lost in between.

CREATE TABLE IF NOT EXISTS otps (
    id                  BINARY(16) NOT NULL,
    purpose             TINYINT UNSIGNED NOT NULL,
    user_id             BIGINT UNSIGNED NOT NULL,
    decoy               TINYINT(1) NOT NULL DEFAULT 0,
    channel             TINYINT UNSIGNED NOT NULL,
    address             VARCHAR(254) NOT NULL,
    address_key         VARBINARY(254) NOT NULL,
    key_name            VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    digits              TINYINT UNSIGNED NOT NULL,
    attempts            SMALLINT UNSIGNED NOT NULL DEFAULT 0,
    sends               SMALLINT UNSIGNED NOT NULL DEFAULT 1,
    changes             TINYINT UNSIGNED NOT NULL DEFAULT 0,
    created_at          DATETIME(6) NOT NULL,
    sent_at             DATETIME(6) NOT NULL,
    expires_at          DATETIME(6) NOT NULL,
    consumed_at         DATETIME(6) NULL,
    last_attempt        BINARY(16) NULL,
    superseded_by       BINARY(16) NULL,
    lang                VARCHAR(35) CHARACTER SET ascii NOT NULL DEFAULT '',
    PRIMARY KEY (id),
    KEY otps_user_id (user_id),
    KEY otps_expires_at (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The outbox, and the only queue.  due_at says when somebody may take a
-- message; whoever takes it moves due_at to the end of its lease, so a message
-- whose taker died comes back by itself.  NULL: finished (sent_at, failed_at).
-- Neither a code nor a rendered text is ever stored.

CREATE TABLE IF NOT EXISTS messages (
    id                  BINARY(16) NOT NULL,
    site                VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    otp_id              BINARY(16) NOT NULL,
    template            VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    channel             TINYINT UNSIGNED NOT NULL,
    address             VARCHAR(254) NOT NULL,
    address_key         VARBINARY(254) NOT NULL,
    attempts            SMALLINT UNSIGNED NOT NULL DEFAULT 0,
    created_at          DATETIME(6) NOT NULL,
    expires_at          DATETIME(6) NOT NULL,
    due_at              DATETIME(6) NULL,
    lease               VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    sent_at             DATETIME(6) NULL,
    failed_at           DATETIME(6) NULL,
    last_error          VARCHAR(160) NULL,
    PRIMARY KEY (id),
    KEY messages_due (site, channel, due_at),
    KEY messages_otp (otp_id, created_at),
    KEY messages_lease (lease),
    KEY messages_address (address_key, created_at),
    KEY messages_expires_at (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What was sent to an address within two days, and a row for each address that
-- is locked while they are counted: the limits are exact on all nodes.  So is
-- a row for each prefix of phone numbers, and for each site.

CREATE TABLE IF NOT EXISTS budgets (
    channel             TINYINT UNSIGNED NOT NULL,
    address_key         VARBINARY(254) NOT NULL,
    used_at             DATETIME(6) NOT NULL,
    PRIMARY KEY (channel, address_key),
    KEY budgets_used_at (used_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS sends (
    id                  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    channel             TINYINT UNSIGNED NOT NULL,
    address_key         VARBINARY(254) NOT NULL,
    sent_at             DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    KEY sends_address (channel, address_key, sent_at),
    KEY sends_sent_at (sent_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Every SMS of two days, with the first digits of its number, and the OTP that
-- tells whether its code was of use; and how many there were in a minute, for a
-- sum over many.

CREATE TABLE IF NOT EXISTS sms_sends (
    id                  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    site                VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    prefix              VARBINARY(16) NOT NULL,
    otp_id              BINARY(16) NOT NULL,
    sent_at             DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    KEY sms_sends_prefix (site, prefix, sent_at),
    KEY sms_sends_sent_at (sent_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS sms_totals (
    site                VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    began_at            DATETIME NOT NULL,
    sent                INT UNSIGNED NOT NULL,
    PRIMARY KEY (site, began_at),
    KEY sms_totals_began_at (began_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO otpreg_schema (version, applied_at)
    SELECT 1, UTC_TIMESTAMP(6) FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM otpreg_schema s WHERE s.version = 1);

COMMIT;
-- 0002: what release 0.2 needs.
--
-- It may be run again: what is there already is left as it is.  ALTER TABLE
-- cannot say so portably, hence the looks into information_schema.

-- users_unproved: the sign-ups that wait, the oldest first, for the purge; it
-- takes the place of users_created_at, which also held everybody else.

SET @sql = IF((SELECT COUNT(*) FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = 'users'
               AND index_name = 'users_unproved') > 0, 'DO 0',
    'ALTER TABLE users ADD KEY users_unproved (verified_at, created_at)');
PREPARE migration FROM @sql;
EXECUTE migration;

SET @sql = IF((SELECT COUNT(*) FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = 'users'
               AND index_name = 'users_created_at') = 0, 'DO 0',
    'ALTER TABLE users DROP KEY users_created_at');
PREPARE migration FROM @sql;
EXECUTE migration;

-- messages_open: those that are neither sent nor given up, by their end, so
-- that what has expired is found beside any number that still waits.

SET @sql = IF((SELECT COUNT(*) FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = 'messages'
               AND index_name = 'messages_open') > 0, 'DO 0',
    'ALTER TABLE messages ADD KEY messages_open
         (site, channel, sent_at, failed_at, expires_at)');
PREPARE migration FROM @sql;
EXECUTE migration;

-- messages_notices: the newest of a kind to an address that was not given up;
-- it takes the place of messages_address, where all to that address were read.

SET @sql = IF((SELECT COUNT(*) FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = 'messages'
               AND index_name = 'messages_notices') > 0, 'DO 0',
    'ALTER TABLE messages ADD KEY messages_notices
         (address_key, template, failed_at, created_at)');
PREPARE migration FROM @sql;
EXECUTE migration;

SET @sql = IF((SELECT COUNT(*) FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = 'messages'
               AND index_name = 'messages_address') = 0, 'DO 0',
    'ALTER TABLE messages DROP KEY messages_address');
PREPARE migration FROM @sql;
EXECUTE migration;

-- sends.client, sends.network: who asked for a message, hashed by a key that
-- is not in the database, and for each address in another way; NULL where that
-- was not written down.

SET @sql = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'sends'
               AND column_name = 'client') > 0, 'DO 0',
    'ALTER TABLE sends ADD client BINARY(16) NULL, ADD network BINARY(16) NULL');
PREPARE migration FROM @sql;
EXECUTE migration;

-- otps.user_id: NULL where a code was asked for an address that nobody has.

SET @sql = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'otps'
               AND column_name = 'user_id' AND is_nullable = 'YES') > 0,
    'DO 0', 'ALTER TABLE otps MODIFY user_id BIGINT UNSIGNED NULL');
PREPARE migration FROM @sql;
EXECUTE migration;

DEALLOCATE PREPARE migration;

-- mail_totals: how many mails a site sent in ten minutes, to one domain, and in
-- all where domain is ''; the sum of its slots.

CREATE TABLE IF NOT EXISTS mail_totals (
    site                VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    domain              VARCHAR(253) CHARACTER SET ascii COLLATE ascii_bin
                            NOT NULL,
    began_at            DATETIME NOT NULL,
    slot                TINYINT UNSIGNED NOT NULL,
    sent                INT UNSIGNED NOT NULL,
    PRIMARY KEY (site, domain, began_at, slot),
    KEY mail_totals_began_at (began_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO otpreg_schema (version, applied_at)
    SELECT 2, UTC_TIMESTAMP(6) FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM otpreg_schema s WHERE s.version = 2);

COMMIT;
