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
