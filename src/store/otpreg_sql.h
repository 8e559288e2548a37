
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SQL_H_INCLUDED_
#define _OTPREG_SQL_H_INCLUDED_


/*
 * Every SQL statement of the project.  The session's time zone is UTC, so that
 * NOW(6) is UTC by the database's clock; the isolation is READ COMMITTED.
 */


/* all: whether there is no other address that is yet to be proved */
#define OTPREG_SQL_IS_LAST                                                    \
    "(NOT ? OR IF(o.channel = 1,"                                             \
    " u.phone_key IS NULL OR u.phone_verified_at IS NOT NULL,"                \
    " u.email_key IS NULL OR u.email_verified_at IS NOT NULL))"


/* a message that nobody is sending, too late to be sent */
#define OTPREG_SQL_IS_OVER                                                    \
    "sent_at IS NULL AND failed_at IS NULL AND expires_at <= NOW(6)"          \
    " AND (due_at <= NOW(6) OR lease IS NULL)"

/* no lease and no pause ends so far ahead: the clock was set back since, and
 * who waits for it waits for nothing */
#define OTPREG_SQL_IS_DUE                                                     \
    "(due_at <= NOW(6) OR due_at > NOW(6) + INTERVAL 2 HOUR)"                 \
    " AND expires_at > NOW(6)"

/* OTPREG_SQL_IDS_MAX placeholders */
#define OTPREG_SQL_IDS_MAX  64
#define OTPREG_SQL_IDS_8    "?, ?, ?, ?, ?, ?, ?, ?"
#define OTPREG_SQL_IDS                                                        \
    OTPREG_SQL_IDS_8 ", " OTPREG_SQL_IDS_8 ", " OTPREG_SQL_IDS_8 ", "         \
    OTPREG_SQL_IDS_8 ", " OTPREG_SQL_IDS_8 ", " OTPREG_SQL_IDS_8 ", "         \
    OTPREG_SQL_IDS_8 ", " OTPREG_SQL_IDS_8


/* otpreg_email_mailbox() of a column */
#define OTPREG_SQL_MAILBOX(key)                                               \
    "IF(LEFT(" key ", 1) = '+', " key ","                                     \
    " CONCAT(SUBSTRING_INDEX(SUBSTRING_INDEX(" key ", '@', 1), '+', 1),"      \
    " SUBSTRING(" key ", LOCATE('@', " key "))))"


#define OTPREG_SQL_LIST(X)                                                    \
                                                                              \
X(OTPREG_SQL_SCHEMA_VERSION,                                                  \
  "SELECT MAX(version) FROM otpreg_schema")                                   \
                                                                              \
/* username_key; email_key or NULL, phone_key or NULL: where the code goes */ \
X(OTPREG_SQL_OWNERS,                                                          \
  "SELECT EXISTS (SELECT 1 FROM users WHERE username_owner = ?),"             \
  "       EXISTS (SELECT 1 FROM users WHERE email_owner = ?)"                 \
  "       OR EXISTS (SELECT 1 FROM users WHERE phone_owner = ?)")             \
                                                                              \
/* username, username_key, email, email_key, phone, phone_key, password */    \
X(OTPREG_SQL_USER_INSERT,                                                     \
  "INSERT INTO users (username, username_key, email, email_key, phone,"       \
  "                   phone_key, password, created_at)"                       \
  " VALUES (?, ?, ?, ?, ?, ?, ?, NOW(6))")                                    \
                                                                              \
/* id, purpose, user_id, decoy, channel, address, address_key, key_name,      \
 * digits, attempts, changes, lang, lifetime */                               \
X(OTPREG_SQL_OTP_INSERT,                                                      \
  "INSERT INTO otps (id, purpose, user_id, decoy, channel, address,"          \
  "                  address_key, key_name, digits, attempts, changes, lang," \
  "                  created_at, sent_at, expires_at)"                        \
  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NOW(6), NOW(6),"              \
  "         NOW(6) + INTERVAL ? SECOND)")                                     \
                                                                              \
/* id */                                                                      \
X(OTPREG_SQL_OTP_EXISTS,                                                      \
  "SELECT 1 FROM otps WHERE id = ?")                                          \
                                                                              \
/* id, site, otp_id, template, channel, address, address_key, attempts,       \
 * expires_in, due_in, lease */                                               \
X(OTPREG_SQL_MESSAGE_INSERT,                                                  \
  "INSERT INTO messages (id, site, otp_id, template, channel, address,"       \
  "                      address_key, attempts, created_at, expires_at,"      \
  "                      due_at, lease)"                                      \
  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, NOW(6), NOW(6) + INTERVAL ? SECOND,"      \
  "         NOW(6) + INTERVAL ? SECOND, ?)")                                  \
                                                                              \
/* channel, mailbox: locks the row */                                     \
X(OTPREG_SQL_BUDGET_LOCK,                                                     \
  "INSERT INTO budgets (channel, address_key, used_at)"                       \
  " VALUES (?, ?, NOW(6)) ON DUPLICATE KEY UPDATE used_at = NOW(6)")          \
                                                                              \
/* client, network, channel, mailbox, period, max: how many there are, up     \
 * to the maximum, how many of them for this client, and for its network */   \
X(OTPREG_SQL_BUDGET_USED,                                                     \
  "SELECT COUNT(*), COALESCE(SUM(n.client = ?), 0),"                          \
  "       COALESCE(SUM(n.network = ?), 0)"                                    \
  " FROM (SELECT client, network FROM sends"                                  \
  "       WHERE channel = ? AND address_key = ?"                              \
  "         AND sent_at > NOW(6) - INTERVAL ? SECOND LIMIT ?) n")             \
                                                                              \
/* client, network, channel, mailbox */                                       \
X(OTPREG_SQL_BUDGET_USE,                                                      \
  "INSERT INTO sends (client, network, channel, address_key, sent_at)"        \
  " VALUES (?, ?, ?, ?, NOW(6))")                                             \
                                                                              \
/* span, site, span: of whole minutes, of which the oldest may lie partly     \
 * before the period */                                                       \
X(OTPREG_SQL_SMS_TOTAL,                                                       \
  "SELECT COALESCE(SUM(sent), 0), COALESCE(TIMESTAMPDIFF(SECOND, NOW(6),"     \
  "                MIN(began_at) + INTERVAL ? SECOND), 0)"                    \
  " FROM sms_totals WHERE site = ?"                                           \
  "   AND began_at > NOW(6) - INTERVAL ? SECOND")                             \
                                                                              \
/* site */                                                                    \
X(OTPREG_SQL_SMS_TOTAL_USE,                                                   \
  "INSERT INTO sms_totals (site, began_at, sent)"                             \
  " VALUES (?, DATE_FORMAT(NOW(), '%Y-%m-%d %H:%i:00'), 1)"                   \
  " ON DUPLICATE KEY UPDATE sent = sent + 1")                                 \
                                                                              \
/* span, site, domain, span: of whole steps of ten minutes, of which the      \
 * oldest may lie partly before the period */                                 \
X(OTPREG_SQL_MAIL_TOTAL,                                                      \
  "SELECT COALESCE(SUM(sent), 0), COALESCE(TIMESTAMPDIFF(SECOND, NOW(6),"     \
  "                MIN(began_at) + INTERVAL ? SECOND), 0)"                    \
  " FROM mail_totals WHERE site = ? AND domain = ?"                           \
  "   AND began_at > NOW(6) - INTERVAL ? SECOND")                             \
                                                                              \
/* site, domain, slot: one of several, so that not all wait for one row */    \
X(OTPREG_SQL_MAIL_TOTAL_USE,                                                  \
  "INSERT INTO mail_totals (site, domain, began_at, slot, sent)"              \
  " VALUES (?, ?, FROM_UNIXTIME(UNIX_TIMESTAMP() DIV 600 * 600), ?, 1)"       \
  " ON DUPLICATE KEY UPDATE sent = sent + 1")                                 \
                                                                              \
/* period, site, prefix, period, max: how many there are, up to the maximum,  \
 * and when the oldest of the newest so many is out of the period */          \
X(OTPREG_SQL_SMS_PREFIX,                                                      \
  "SELECT COUNT(*), COALESCE(TIMESTAMPDIFF(SECOND, NOW(6),"                   \
  "                 MIN(n.sent_at) + INTERVAL ? SECOND), 0)"                  \
  " FROM (SELECT sent_at FROM sms_sends WHERE site = ? AND prefix = ?"        \
  "         AND sent_at > NOW(6) - INTERVAL ? SECOND"                         \
  "       ORDER BY sent_at DESC LIMIT ?) n")                                  \
                                                                              \
/* site, prefix, otp_id */                                                    \
X(OTPREG_SQL_SMS_PREFIX_USE,                                                  \
  "INSERT INTO sms_sends (site, prefix, otp_id, sent_at)"                     \
  " VALUES (?, ?, ?, NOW(6))")                                                \
                                                                              \
/* from, site, prefix, from, to, max: of the newest messages so many seconds  \
 * ago how many there are, how many were verified, and when the oldest of     \
 * them is out of the period */                                               \
X(OTPREG_SQL_SMS_VERIFIED,                                                    \
  "SELECT COUNT(*), COALESCE(SUM(n.verified), 0),"                            \
  "       COALESCE(TIMESTAMPDIFF(SECOND, NOW(6),"                             \
  "                MIN(n.sent_at) + INTERVAL ? SECOND), 0)"                   \
  " FROM (SELECT s.sent_at, o.consumed_at IS NOT NULL AS verified"            \
  "       FROM sms_sends s LEFT JOIN otps o ON o.id = s.otp_id"               \
  "       WHERE s.site = ? AND s.prefix = ?"                                  \
  "         AND s.sent_at > NOW(6) - INTERVAL ? SECOND"                       \
  "         AND s.sent_at <= NOW(6) - INTERVAL ? SECOND"                      \
  "       ORDER BY s.sent_at DESC LIMIT ?) n")                                \
                                                                              \
/* email_key: one sign-up at a time asks whether the owner knows */           \
X(OTPREG_SQL_EMAIL_OWNER_LOCK,                                                \
  "SELECT 1 FROM users WHERE email_owner = ? FOR UPDATE")                     \
                                                                              \
/* phone_key */                                                               \
X(OTPREG_SQL_PHONE_OWNER_LOCK,                                                \
  "SELECT 1 FROM users WHERE phone_owner = ? FOR UPDATE")                     \
                                                                              \
/* id */                                                                      \
X(OTPREG_SQL_MESSAGE_EXISTS,                                                  \
  "SELECT 1 FROM messages WHERE id = ?")                                      \
                                                                              \
/* address_key, template: whether one was queued within a day, and did not    \
 * fail since */                                                              \
X(OTPREG_SQL_MESSAGE_RECENT,                                                  \
  "SELECT EXISTS (SELECT 1 FROM messages WHERE address_key = ?"               \
  "               AND created_at > NOW(6) - INTERVAL 1 DAY"                   \
  "               AND template = ? AND failed_at IS NULL)")                   \
                                                                              \
/* attempt, match, match, all, match, match, match, all, id, purpose,         \
 * attempts_max, attempt.  all: the other address, too, must be proved.       \
 * affected rows: 0 not admitted, 1 counted, 2 counted, consumed, proved;     \
 * repeated after a lost connection it does not count its attempt again;      \
 * no assignment reads a column that another one changes */                   \
X(OTPREG_SQL_VERIFY_SIGNUP,                                                   \
  "UPDATE otps o LEFT JOIN users u ON u.id = o.user_id AND o.decoy = 0"       \
  "   AND o.address_key = IF(o.channel = 1, u.email_key, u.phone_key)"        \
  " SET o.attempts = LAST_INSERT_ID(o.attempts + 1),"                         \
  "     o.last_attempt = ?,"                                                  \
  "     o.consumed_at = IF(? AND u.id IS NOT NULL, NOW(6), NULL),"            \
  "     u.is_active = IF(? AND " OTPREG_SQL_IS_LAST ", 1, u.is_active),"      \
  "     u.email_verified_at = IF(? AND o.channel = 1, NOW(6),"                \
  "                              u.email_verified_at),"                       \
  "     u.phone_verified_at = IF(? AND o.channel = 2, NOW(6),"                \
  "                              u.phone_verified_at),"                       \
  "     u.verified_at = IF(? AND " OTPREG_SQL_IS_LAST ", NOW(6), NULL)"       \
  " WHERE o.id = ? AND o.purpose = ? AND o.consumed_at IS NULL"               \
  "   AND o.superseded_by IS NULL"                                            \
  "   AND o.expires_at > NOW(6) AND o.attempts < ?"                           \
  "   AND NOT (o.last_attempt <=> ?)"                                         \
  "   AND u.verified_at IS NULL")                                             \
                                                                              \
/* attempts_max, attempt, id */                                               \
X(OTPREG_SQL_OTP_STATE,                                                       \
  "SELECT o.attempts, o.attempts >= ?, o.expires_at <= NOW(6),"               \
  "       o.consumed_at IS NOT NULL, COALESCE(o.last_attempt = ?, 0),"        \
  "       u.verified_at IS NOT NULL,"                                         \
  "       IF(o.channel = 1, u.email_verified_at, u.phone_verified_at)"        \
  "       IS NOT NULL"                                                        \
  " FROM otps o LEFT JOIN users u ON u.id = o.user_id AND o.decoy = 0"        \
  " WHERE o.id = ?")                                                          \
                                                                              \
/* id of an OTP: whether the name that it was for has an owner by now */      \
X(OTPREG_SQL_USERNAME_OWNED,                                                  \
  "SELECT EXISTS (SELECT 1 FROM otps o JOIN users u ON u.id = o.user_id"      \
  "               JOIN users w ON w.username_owner = u.username_key"          \
  "               WHERE o.id = ?)")                                           \
                                                                              \
/* attempt, id */                                                             \
X(OTPREG_SQL_OTP_BURN,                                                        \
  "UPDATE otps SET consumed_at = NOW(6), attempts = attempts + 1,"            \
  "                last_attempt = ?"                                          \
  " WHERE id = ? AND consumed_at IS NULL")                                    \
                                                                              \
/* attempts_max, id, purpose: the row, whether its code lives, and the times  \
 * since the newest send and until the end */                                 \
X(OTPREG_SQL_OTP_LOCK,                                                        \
  "SELECT o.user_id, o.decoy, o.channel, o.address, o.address_key,"           \
  "       o.key_name, o.digits, o.attempts, o.changes,"                       \
  "       o.attempts < ? AND o.expires_at > NOW(6),"                          \
  "       o.consumed_at IS NOT NULL, o.superseded_by,"                        \
  "       TIMESTAMPDIFF(MICROSECOND, o.sent_at, NOW(6)),"                     \
  "       TIMESTAMPDIFF(SECOND, NOW(6), o.expires_at), o.lang"                \
  " FROM otps o WHERE o.id = ? AND o.purpose = ? FOR UPDATE")                 \
                                                                              \
/* email_key or NULL, phone_key or NULL, user_id: the user, what was proved,  \
 * and whether the address has an owner */                                    \
X(OTPREG_SQL_OTP_USER,                                                        \
  "SELECT u.username, u.verified_at IS NOT NULL,"                             \
  "       u.email, u.email_key, u.email_verified_at IS NOT NULL,"             \
  "       u.phone_key, u.phone_verified_at IS NOT NULL,"                      \
  "       EXISTS (SELECT 1 FROM users w WHERE w.email_owner = ?)"             \
  "       OR EXISTS (SELECT 1 FROM users w WHERE w.phone_owner = ?)"          \
  " FROM users u WHERE u.id = ?")                                             \
                                                                              \
/* id */                                                                      \
X(OTPREG_SQL_OTP_RESENT,                                                      \
  "UPDATE otps SET sends = sends + 1, sent_at = NOW(6) WHERE id = ?")         \
                                                                              \
/* superseded_by, id */                                                       \
X(OTPREG_SQL_OTP_SUPERSEDE,                                                   \
  "UPDATE otps SET superseded_by = ? WHERE id = ?")                           \
                                                                              \
/* address, address_key, user_id: it is yet to be proved */                   \
X(OTPREG_SQL_USER_EMAIL,                                                      \
  "UPDATE users SET email = ?, email_key = ?, email_verified_at = NULL"       \
  " WHERE id = ? AND verified_at IS NULL")                                    \
                                                                              \
/* the same */                                                                \
X(OTPREG_SQL_USER_PHONE,                                                      \
  "UPDATE users SET phone = ?, phone_key = ?, phone_verified_at = NULL"       \
  " WHERE id = ? AND verified_at IS NULL")                                    \
                                                                              \
/* site, channel, max: also those that are to be tried again after their end,  \
 * but not what somebody may be sending.  It waits for no lock: a transaction  \
 * that is open, of whomever, must not stop the messages of everybody. */      \
X(OTPREG_SQL_OVER,                                                            \
  "SELECT id FROM messages"                                                   \
  " WHERE site = ? AND channel = ? AND " OTPREG_SQL_IS_OVER " LIMIT ?")       \
                                                                              \
/* as many ids as OTPREG_SQL_IDS, any of them more than once */               \
X(OTPREG_SQL_EXPIRE,                                                          \
  "UPDATE messages FORCE INDEX (PRIMARY)"                                     \
  " SET due_at = NULL, lease = NULL, failed_at = NOW(6),"                     \
  "     last_error = 'expired'"                                               \
  " WHERE id IN (" OTPREG_SQL_IDS ") AND " OTPREG_SQL_IS_OVER)                \
                                                                              \
/* site, channel, max: the newest first, for somebody may still wait for it.  \
 * By no other index: sorting all that has not expired for a few of them may  \
 * look cheap.  It waits for no lock. */                                      \
X(OTPREG_SQL_DUE,                                                             \
  "SELECT id FROM messages FORCE INDEX (messages_due)"                        \
  " WHERE site = ? AND channel = ? AND " OTPREG_SQL_IS_DUE                    \
  " ORDER BY due_at DESC LIMIT ?")                                            \
                                                                              \
/* lease_time, lease, as many ids as OTPREG_SQL_IDS */                        \
X(OTPREG_SQL_CLAIM,                                                           \
  "UPDATE messages FORCE INDEX (PRIMARY)"                                     \
  " SET due_at = NOW(6) + INTERVAL ? SECOND, lease = ?,"                      \
  "     attempts = attempts + 1"                                              \
  " WHERE id IN (" OTPREG_SQL_IDS ") AND " OTPREG_SQL_IS_DUE)                 \
                                                                              \
/* lease */                                                                   \
X(OTPREG_SQL_CLAIMED,                                                         \
  "SELECT m.id, m.template, m.attempts,"                                      \
  "       TIMESTAMPDIFF(SECOND, NOW(6), m.expires_at),"                       \
  "       o.id, o.purpose, o.channel, o.digits, o.key_name, m.address,"       \
  "       COALESCE(u.username, ''),"                                          \
  "       o.consumed_at IS NOT NULL OR o.superseded_by IS NOT NULL, o.lang"   \
  " FROM messages m JOIN otps o ON o.id = m.otp_id"                           \
  "                 LEFT JOIN users u ON u.id = o.user_id AND o.decoy = 0"    \
  " WHERE m.lease = ?")                                                       \
                                                                              \
/* id */                                                                      \
X(OTPREG_SQL_SENT,                                                            \
  "UPDATE messages SET sent_at = NOW(6), due_at = NULL, lease = NULL,"        \
  "                    failed_at = NULL, last_error = NULL"                   \
  " WHERE id = ? AND sent_at IS NULL")                                        \
                                                                              \
/* delay in microseconds, last_error, id, lease */                            \
X(OTPREG_SQL_LATER,                                                           \
  "UPDATE messages SET due_at = NOW(6) + INTERVAL ? MICROSECOND,"             \
  "                    lease = NULL, last_error = ?"                          \
  " WHERE id = ? AND lease = ?")                                              \
                                                                              \
/* the same */                                                                \
X(OTPREG_SQL_UNSENT,                                                          \
  "UPDATE messages SET due_at = NOW(6) + INTERVAL ? MICROSECOND,"             \
  "                    lease = NULL, last_error = ?,"                         \
  "                    attempts = attempts - (attempts > 0)"                  \
  " WHERE id = ? AND lease = ?")                                              \
                                                                              \
/* last_error, id, lease */                                                   \
X(OTPREG_SQL_GIVEN_UP,                                                        \
  "UPDATE messages SET failed_at = NOW(6), due_at = NULL, lease = NULL,"      \
  "                    last_error = ?"                                        \
  " WHERE id = ? AND lease = ?")                                              \
                                                                              \
/* attempts_max, otp_id: whether its attempts are used up; and whether its    \
 * message was given up, only of the first one to an address in a day, which  \
 * the owner of an address gets, too.  What decides that is the same for a    \
 * decoy; and the time that it takes to be refused must not tell which of     \
 * them it was.  The day is an hour longer than the one in which an owner is  \
 * told once. */                                                              \
X(OTPREG_SQL_DELIVERY,                                                        \
  "SELECT o.expires_at > NOW(6) AND o.attempts >= ?"                          \
  "       AND o.consumed_at IS NULL,"                                         \
  "       o.expires_at > NOW(6)"                                              \
  "   AND o.sent_at <= NOW(6) - INTERVAL 5 SECOND AND o.sends = 1"            \
  "   AND EXISTS (SELECT 1 FROM messages m WHERE m.otp_id = o.id"             \
  "               AND m.failed_at IS NOT NULL)"                               \
  "   AND EXISTS (SELECT 1 FROM sends s WHERE s.channel = o.channel"          \
  "               AND s.address_key = "                                       \
                      OTPREG_SQL_MAILBOX("o.address_key")                     \
  "               AND s.sent_at > o.created_at - INTERVAL 25 HOUR"            \
  "               AND s.sent_at <= o.created_at)"                             \
  "   AND (SELECT 1 FROM sends s WHERE s.channel = o.channel"                 \
  "        AND s.address_key = " OTPREG_SQL_MAILBOX("o.address_key")          \
  "        AND s.sent_at > o.created_at - INTERVAL 25 HOUR"                   \
  "        AND s.sent_at <= o.created_at LIMIT 1 OFFSET 1) IS NULL"           \
  " FROM otps o WHERE o.id = ?")                                              \
                                                                              \
/* node prefix, as a LIKE pattern */                                          \
X(OTPREG_SQL_LEASES,                                                          \
  "SELECT DISTINCT lease FROM messages WHERE lease LIKE ?")                   \
                                                                              \
/* lease */                                                                   \
X(OTPREG_SQL_RELEASE,                                                         \
  "UPDATE messages SET due_at = NOW(6), lease = NULL"                         \
  " WHERE lease = ? AND due_at IS NOT NULL")                                  \
                                                                              \
/* created_at, id: the next of those that were made at the same time */       \
X(OTPREG_SQL_PURGE_SAME,                                                      \
  "SELECT id, CAST(created_at AS CHAR) FROM users"                            \
  " WHERE verified_at IS NULL AND created_at = ? AND id > ?"                  \
  " ORDER BY id LIMIT 1000")                                                  \
                                                                              \
/* created_at: the next ones */                                               \
X(OTPREG_SQL_PURGE_NEXT,                                                      \
  "SELECT id, CAST(created_at AS CHAR) FROM users"                            \
  " WHERE verified_at IS NULL AND created_at > ?"                             \
  "   AND created_at < NOW(6) - INTERVAL 1 DAY"                               \
  " ORDER BY created_at, id LIMIT 1000")                                      \
                                                                              \
/* id: only of users that came by a sign-up, that is who have an OTP */       \
X(OTPREG_SQL_PURGE_USER,                                                      \
  "DELETE FROM users"                                                         \
  " WHERE id = ? AND is_active = 0 AND verified_at IS NULL"                   \
  "   AND EXISTS (SELECT 1 FROM otps o WHERE o.user_id = users.id)"           \
  "   AND NOT EXISTS (SELECT 1 FROM otps o WHERE o.user_id = users.id"        \
  "                   AND o.expires_at >= NOW(6) - INTERVAL 1 DAY)")          \
                                                                              \
/* expires_at: how many come next, and when the last of them expired */       \
X(OTPREG_SQL_PURGE_OTPS_NEXT,                                                 \
  "SELECT COUNT(*), CAST(MAX(n.expires_at) AS CHAR)"                          \
  " FROM (SELECT expires_at FROM otps WHERE expires_at > ?"                   \
  "         AND expires_at < NOW(6) - INTERVAL 2 DAY"                         \
  "       ORDER BY expires_at LIMIT 1000) n")                                 \
                                                                              \
/* expires_at, expires_at: what lies between, the last one included */        \
X(OTPREG_SQL_PURGE_OTPS,                                                      \
  "DELETE FROM otps WHERE expires_at > ? AND expires_at <= ?"                 \
  "   AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = otps.user_id"        \
  "                   AND u.is_active = 0 AND u.verified_at IS NULL)")        \
                                                                              \
X(OTPREG_SQL_PURGE_SENDS,                                                     \
  "DELETE FROM sends WHERE sent_at < NOW(6) - INTERVAL 2 DAY"                 \
  " ORDER BY sent_at LIMIT 1000")                                             \
                                                                              \
X(OTPREG_SQL_PURGE_SMS_SENDS,                                                 \
  "DELETE FROM sms_sends WHERE sent_at < NOW(6) - INTERVAL 2 DAY"             \
  " ORDER BY sent_at LIMIT 1000")                                             \
                                                                              \
X(OTPREG_SQL_PURGE_SMS_TOTALS,                                                \
  "DELETE FROM sms_totals WHERE began_at < NOW(6) - INTERVAL 3 DAY"           \
  " ORDER BY began_at LIMIT 1000")                                            \
                                                                              \
X(OTPREG_SQL_PURGE_MAIL_TOTALS,                                               \
  "DELETE FROM mail_totals WHERE began_at < NOW(6) - INTERVAL 3 DAY"          \
  " ORDER BY began_at LIMIT 1000")                                            \
                                                                              \
X(OTPREG_SQL_PURGE_BUDGETS,                                                   \
  "DELETE FROM budgets WHERE used_at < NOW(6) - INTERVAL 2 DAY"               \
  " ORDER BY used_at LIMIT 1000")                                             \
                                                                              \
X(OTPREG_SQL_PURGE_MESSAGES,                                                  \
  "DELETE FROM messages WHERE expires_at < NOW(6) - INTERVAL 2 DAY"           \
  " ORDER BY expires_at LIMIT 1000")


#define OTPREG_SQL_NAME(name, text)  name,
#define OTPREG_SQL_TEXT(name, text)  text,


enum {
    OTPREG_SQL_LIST(OTPREG_SQL_NAME)
    OTPREG_SQL_COUNT
};


#endif /* _OTPREG_SQL_H_INCLUDED_ */
