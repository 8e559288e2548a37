
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_METRIC_H_INCLUDED_
#define _NGX_HTTP_OTPREG_METRIC_H_INCLUDED_


#include "otpreg_outcome.h"

#include "ngx_http_otpreg_module.h"


/*
 * Counters for administrators, in shared memory: they are summed over the
 * workers and kept over reloads.  A line here and one in docs/operation.md make
 * a new one: its name, how it is called, its labels, and what it counts.  Lines
 * with the same name stand together; the first of them tells what is counted.
 */

#define NGX_HTTP_OTPREG_METRIC_LIST(metric)                                   \
    metric(SIGNUPS, "otpreg_signups_total", "",                               \
           "Sign-ups that were accepted and written.")                        \
    metric(VERIFIED, "otpreg_verified_total", "",                             \
           "Codes that were right and made a user active.")                   \
    metric(RESENDS, "otpreg_resends_total", "",                               \
           "Codes that were requested again.")                                \
    metric(CODES_WRONG, "otpreg_codes_wrong_total", "",                       \
           "Wrong codes that were typed for a living or a spent code.")       \
    metric(CODES_SPENT, "otpreg_codes_spent_total", "",                       \
           "Codes that were typed when no attempts were left.")               \
    metric(CLIENT_REGISTER, "otpreg_limited_total",                           \
           "limit=\"client\",kind=\"register\"",                              \
           "Requests that met a limit that was reached.")                     \
    metric(CLIENT_VERIFY, "otpreg_limited_total",                             \
           "limit=\"client\",kind=\"verify\"", "")                            \
    metric(CLIENT_RESEND, "otpreg_limited_total",                             \
           "limit=\"client\",kind=\"resend\"", "")                            \
    metric(CLIENT_WRONG, "otpreg_limited_total",                              \
           "limit=\"client\",kind=\"wrong\"", "")                             \
    metric(CLIENT_STATUS, "otpreg_limited_total",                             \
           "limit=\"client\",kind=\"status\"", "")                            \
    metric(NETWORK_REGISTER, "otpreg_limited_total",                          \
           "limit=\"network\",kind=\"register\"", "")                         \
    metric(NETWORK_VERIFY, "otpreg_limited_total",                            \
           "limit=\"network\",kind=\"verify\"", "")                           \
    metric(NETWORK_RESEND, "otpreg_limited_total",                            \
           "limit=\"network\",kind=\"resend\"", "")                           \
    metric(NETWORK_WRONG, "otpreg_limited_total",                             \
           "limit=\"network\",kind=\"wrong\"", "")                            \
    metric(NETWORK_STATUS, "otpreg_limited_total",                            \
           "limit=\"network\",kind=\"status\"", "")                           \
    metric(GLOBAL_REGISTER, "otpreg_limited_total",                           \
           "limit=\"global\",kind=\"register\"", "")                          \
    metric(GLOBAL_VERIFY, "otpreg_limited_total",                             \
           "limit=\"global\",kind=\"verify\"", "")                            \
    metric(GLOBAL_RESEND, "otpreg_limited_total",                             \
           "limit=\"global\",kind=\"resend\"", "")                            \
    metric(GLOBAL_WRONG, "otpreg_limited_total",                              \
           "limit=\"global\",kind=\"wrong\"", "")                             \
    metric(GLOBAL_STATUS, "otpreg_limited_total",                             \
           "limit=\"global\",kind=\"status\"", "")                            \
    metric(ZONE_FULL, "otpreg_limit_zone_full_total", "",                     \
           "Requests for which a full zone forgot other counters.")           \
    metric(MAIL_SENT, "otpreg_messages_sent_total", "channel=\"email\"",      \
           "Messages that a courier accepted.")                               \
    metric(SMS_SENT, "otpreg_messages_sent_total", "channel=\"sms\"", "")     \
    metric(MAIL_LATER, "otpreg_messages_retried_total",                       \
           "channel=\"email\"",                                               \
           "Attempts to send that failed and are repeated.")                  \
    metric(SMS_LATER, "otpreg_messages_retried_total", "channel=\"sms\"", "") \
    metric(MAIL_GIVEN_UP, "otpreg_messages_given_up_total",                   \
           "channel=\"email\"",                                               \
           "Messages that are not tried again.")                              \
    metric(SMS_GIVEN_UP, "otpreg_messages_given_up_total",                    \
           "channel=\"sms\"", "")                                             \
    metric(MAIL_EXPIRED, "otpreg_messages_expired_total",                     \
           "channel=\"email\"",                                               \
           "Messages that expired before they were sent.")                    \
    metric(SMS_EXPIRED, "otpreg_messages_expired_total",                      \
           "channel=\"sms\"", "")                                             \
    metric(SMS_REFUSED_TOTAL, "otpreg_sms_refused_total",                     \
           "scope=\"total\"",                                                 \
           "SMS that were refused before a provider was asked.")              \
    metric(SMS_REFUSED_PREFIX, "otpreg_sms_refused_total",                    \
           "scope=\"prefix\"", "")                                            \
    metric(SMS_REFUSED_SHARE, "otpreg_sms_refused_total",                     \
           "scope=\"share\"", "")                                             \
    metric(SMS_REFUSED_COUNTRY, "otpreg_sms_refused_total",                   \
           "scope=\"country\"", "")                                           \
    metric(MAIL_REFUSED_TOTAL, "otpreg_mail_refused_total",                   \
           "scope=\"total\"",                                                 \
           "Mails that were refused before a courier was asked.")             \
    metric(MAIL_REFUSED_DOMAIN, "otpreg_mail_refused_total",                  \
           "scope=\"domain\"", "")                                            \
    metric(HASH_FULL, "otpreg_queue_full_total", "pool=\"hash\"",             \
           "Requests and messages that found a thread pool's queue full.")    \
    metric(DATABASE_FULL, "otpreg_queue_full_total", "pool=\"database\"", "") \
    metric(MAIL_FULL, "otpreg_queue_full_total", "pool=\"mail\"", "")         \
    metric(ROBOT_HONEYPOT, "otpreg_robots_total", "reason=\"honeypot\"",      \
           "Sign-ups of robots that got an answer and nothing else.")         \
    metric(ROBOT_FORGED, "otpreg_robots_total", "reason=\"forged\"", "")      \
    metric(ROBOT_TOO_SOON, "otpreg_robots_total", "reason=\"too_soon\"", "")  \
    metric(ROBOT_REUSED, "otpreg_robots_total", "reason=\"reused\"", "")      \
    metric(CHALLENGE_PASSED, "otpreg_challenges_total", "result=\"passed\"",   \
           "Challenges that were checked, or could not be.")                  \
    metric(CHALLENGE_REFUSED, "otpreg_challenges_total",                      \
           "result=\"refused\"", "")                                          \
    metric(CHALLENGE_DOWN, "otpreg_challenges_total",                         \
           "result=\"unavailable\"", "")                                      \
    metric(BREACH_CLEAN, "otpreg_breach_checks_total", "result=\"clean\"",     \
           "Passwords that were looked up, or could not be.")                 \
    metric(BREACH_FOUND, "otpreg_breach_checks_total",                        \
           "result=\"breached\"", "")                                         \
    metric(BREACH_DOWN, "otpreg_breach_checks_total",                         \
           "result=\"unavailable\"", "")                                      \
    metric(DATABASE_DOWN, "otpreg_database_down_total", "",                   \
           "Jobs that found the database away, read-only or of another "      \
           "schema.")                                                         \
    metric(DATABASE_ERRORS, "otpreg_database_errors_total", "",               \
           "Jobs whose statement failed.")


#define NGX_HTTP_OTPREG_METRIC_ENUM(name, text, labels, help)                 \
    NGX_HTTP_OTPREG_METRIC_##name,

typedef enum {
    NGX_HTTP_OTPREG_METRIC_LIST(NGX_HTTP_OTPREG_METRIC_ENUM)
    NGX_HTTP_OTPREG_METRICS
} ngx_http_otpreg_metric_e;


typedef struct {
    ngx_atomic_t                counters[NGX_HTTP_OTPREG_METRICS];
    ngx_atomic_t                outcomes[OTPREG_OUTCOMES];
} ngx_http_otpreg_metrics_t;


/* In shared memory, set once in each process; NULL: there are no metrics. */
extern ngx_http_otpreg_metrics_t  *ngx_http_otpreg_metrics;


/*
 * Add n.  Does nothing in a process without metrics.
 * Thread: any; no lock, no memory.
 */
void ngx_http_otpreg_metric_add(ngx_http_otpreg_metric_e metric,
    ngx_uint_t n);


/*
 * A request that was refused, by its outcome (otpreg_refusals_total), and by
 * those of its fields (otpreg_field_errors_total).
 */
void ngx_http_otpreg_metric_refusal(const ngx_http_otpreg_ctx_t *ctx);


/* What a job found the database like. */
void ngx_http_otpreg_metric_database(otpreg_outcome_t outcome);


/* The shared memory, for configuration; NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_metric_zone(ngx_conf_t *cf);

/* In each process, before anything is counted. */
void ngx_http_otpreg_metric_init_process(ngx_http_otpreg_main_conf_t *omcf);


#endif /* _NGX_HTTP_OTPREG_METRIC_H_INCLUDED_ */
