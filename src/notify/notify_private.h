// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of this room share.
 *
 *   receivers.c   who is to be told, by the configuration
 *   compare.c     what has changed in health, and which event that is
 *   ends.c        what has come to its end: was it mended, or is it gone?
 *   beats.c       runs that began and ended, for heartbeats
 *   holds.c       backups that are held from their first moment on, and holds whose time is over
 *   restores.c    restores that have ended
 *   digest.c      when a summary is due, and its text
 *   facts.c       what is to be said of an event, as JSON: it waits in the catalog like this
 *   message.c     several of these as one message
 *   mail.c        a message as a mail: RFC 5322
 *   template.c    a message as a request's body
 *   target.c      where a request goes: secrets, which are read now
 *   deliver.c     a message to its receiver
 *   queue.c       what is due, and what becomes of it
 *   lanes.c       a thread for each receiver that is being told, so that none waits for another
 *   notify.c      the thread that compares, and knows when something is due
 *   test.c        without a catalog: tests, probes
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/notices.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/notify.h>

/* Receivers. */

enum receiver_kind { RECEIVER_MAIL, RECEIVER_WEBHOOK, RECEIVER_COMMAND, RECEIVER_HEARTBEAT };

struct receiver {
	enum receiver_kind kind;
	char *name;     /* "mail ops@example.com": as the catalog knows it */
	const char *to; /* of mail; borrowed, as all below */
	const struct conf_webhook *webhook;
	const struct conf_command *command;
	const struct conf_heartbeat *heartbeat;
	uint32_t events; /* 0 for a heartbeat */
	int64_t gather_ms;
	const char *digest; /* NULL: none */
};

struct receivers {
	struct receiver *items;
	size_t count;
};

/** receivers_of() - all that @conf has, as long as that lives. */
void receivers_of(const struct conf *conf, struct receivers *ret);
void receivers_finish(struct receivers *r);
/** receiver_lane() - those of one lane are told one after the other: all addresses of mail, since they have one server; each
 * other receiver has a lane of its own. Borrowed. */
const char *receiver_lane(const struct receiver *r);
static inline void cleanup_receivers(struct receivers *r)
{
	receivers_finish(r);
}

/* Comparing. */

struct told {
	char *check, *subject, *kind;
	int level;
	bool told;
	int64_t since_us;
};

struct told_list {
	struct told *items;
	size_t count;
	bool begun; /* something was compared before */
};

void told_list_add(struct told_list *l, const struct catalog_told *t);
void told_list_finish(struct told_list *l);
static inline void cleanup_told_list(struct told_list *l)
{
	told_list_finish(l);
}

/** struct change - one thing that is to be told. */
struct change {
	enum conf_event event;
	const struct health_item *item; /* NULL: it is not there any more */
	const struct told *before;      /* NULL: it was not there */
};

struct changes {
	struct change *items;
	size_t count;
};

static inline void cleanup_changes(struct changes *c)
{
	free(c->items);
}

/** compare_health() - from what was told before to what is to be told, and to what counts as told from now on; pure. Return:
 * is the list another than before? */
bool compare_health(const struct told_list *before, const struct health *h, struct told_list *ret_after,
                    struct changes *ret);

/* Ends. */

enum ending {
	ENDING_MENDED,
	ENDING_GONE, /* what was in trouble is not there any more */
	ENDING_UNTOLD /* nobody need know: it is gone with its job, or still as it was, only not told of any longer */
};
/** ending_of() - of what was told of and is not in the list of health any more. Blocks on the local disk. */
enum ending ending_of(struct catalog *c, const struct conf *conf, const struct told *before);
/** ending_title() - heap: what is told then. */
char *ending_title(const struct told *before, enum ending ending);

/* Facts. */

/** facts_of_event() - heap: JSON of an event; with the end of the log of its run. */
char *facts_of_event(struct catalog *c, const struct notify_event *e, int64_t at_us);
/** facts_of_change() - the same of a change of health. */
char *facts_of_change(struct catalog *c, const struct conf *conf, const struct change *change, int64_t at_us);
/** facts_of_run() - heap: JSON of a run that has begun, or ended: for a heartbeat. */
char *facts_of_run(struct catalog *c, const struct catalog_run *run, bool ended, int64_t at_us);
/** facts_of_digest() - heap. */
char *facts_of_digest(struct catalog *c, const struct conf *conf, const struct health *h, int64_t from_us,
                      int64_t at_us);
/** facts_of_test() - heap. */
char *facts_of_test(int64_t at_us);

/** host_name() - of this host: "db1". Returns @buf. */
const char *host_name(char buf[static 256]);
/** tell_time() - "2026-11-20 02:00 UTC"; "" for 0. Returns @buf. */
const char *tell_time(int64_t at_us, char buf[static 32]);

/* Messages. */

struct batch { /* what is said at once to one receiver */
	enum notice_kind kind;
	int64_t *ids;
	struct json **facts;
	size_t count;
	int64_t first_at_us;
	/* Of the receiver: what is said of those that could not be told. */
	uint64_t dropped, given_up;
	int64_t dropped_from_us, dropped_to_us;
};

void batch_add(struct batch *b, const struct catalog_notice *n);
void batch_finish(struct batch *b);
static inline void cleanup_batch(struct batch *b)
{
	batch_finish(b);
}

struct message {
	char *id; /* the same each time the same is sent: "1795140000000000.17-19" */
	char *event;
	const char *level; /* "OK", "WARN", "CRIT" */
	int level_number;
	char *subject, *text; /* a line; lines */
	char *job, *database, *since, *what_to_do, *at, *run;
	size_t count;
	struct json *json; /* all of it */
	/* Of a heartbeat: */
	char *beat, *state, *error, *log, *exit_code, *seconds, *milliseconds;
};

/** message_make() - the words for a batch. @conf: where it is said to look for more. */
void message_make(const struct batch *b, const struct conf *conf, struct message *ret);
void message_finish(struct message *m);
static inline void cleanup_message(struct message *m)
{
	message_finish(m);
}

/** mail_make() - heap: the whole mail. @at_us: its date. Pure. */
char *mail_make(const struct message *m, const char *from, const char *to, int64_t at_us);

/* Templates. */

struct template_value {
	const char *name, *value;
};

/** template_load() - heap: the text of a template, by name or path. -ENOENT and others, with @err. */
int template_load(const char *name, char **ret_text, struct error *err);
/** template_fill() - append @text with its placeholders filled. -EINVAL: one that there is not, or with an unknown filter;
 * the message lists those there are. @values: ended by a name of NULL. Pure. */
int template_fill(const char *text, const struct template_value *values, struct str *out, struct error *err);
/** template_fill_json() - the same in all strings of a value: "{{x|number}}" alone becomes a number. NULL with @err. */
struct json *template_fill_json(const struct json *j, const struct template_value *values, struct error *err);
/** template_values_of() - what a message has to offer; @to and @url may be NULL. Heap; free() it, and *@ret_base. */
struct template_value *template_values_of(const struct message *m, const char *to, const char *url,
                                          char **ret_base);

/* Delivering. */

/** struct delivery_result - beside the negative errno and the error. */
struct delivery_result {
	bool refused;           /* for good: it is not sent again */
	int64_t retry_after_ms; /* what the receiver asked for; 0 */
};

/** deliver() - hand @m to @r: 0: it was taken. Blocks, at most about a minute. */
int deliver(const struct conf *conf, const struct receiver *r, const struct message *m, int64_t at_us,
            struct cancel *cancel, struct delivery_result *ret, struct error *err);

/** http_send() - a request of a webhook or heartbeat. */
struct http_message {
	const char *method, *url, *body, *content_type; /* @body NULL: none */
	char *const *headers;                           /* "Name: value" */
	const char *ca_file;
};
int http_send(const struct http_message *h, struct cancel *cancel, struct delivery_result *ret,
              struct error *err);

/** backoff_ms() - how long to wait after so many failures in a row. */
int64_t backoff_ms(int64_t attempts);

/* The whole. */

struct notify_options {
	struct notify_context ctx;
	/* deliver(); tests have their own */
	int (*deliver)(const struct conf *conf, const struct receiver *r, const struct message *m,
	               int64_t at_us, struct cancel *cancel, struct delivery_result *ret, struct error *err);
};

/* What a round is: compare, send what is due, say when there will be something to do. Without the thread, for tests. */
struct round {
	const struct notify_options *options;
	const struct conf *conf;
	struct receivers receivers;
	struct cancel *cancel;
	bool flush;            /* do not wait for more to gather */
	int64_t next_due_us;   /* INT64_MAX: never */
	int64_t not_before_us; /* what became of a notice could not be kept: ask nobody before this; 0 */
	int64_t next_look_us;  /* when health may be another; INT64_MAX */
};

/** round_begin() - by the configuration in force, which stays alive until round_end(). */
void round_begin(const struct notify_options *options, struct cancel *cancel, struct round *ret);
void round_end(struct round *r);
/** round_settle() - the catalog knows these receivers, and no others; what has failed is due again. */
int round_settle(struct round *r, struct error *err);
/** round_look() - compare, and add what is to be said. */
int round_look(struct round *r, struct error *err);
/** round_due_us() - when the first of what waits for @to is due; INT64_MAX: nothing waits. */
int64_t round_due_us(const struct round *r, const struct receiver *to);
/** round_send() - what is due now to the receivers of @lane, NULL: to all; sets next_due_us. Blocks as they do. */
void round_send(struct round *r, const char *lane);
int64_t round_now_us(const struct round *r);

/* Lanes. */

/** struct lanes - who is being told just now. A lane has a thread while something is due in it, so there are at most as many
 * as the configuration has receivers, and none while nothing is to be told. */
struct lanes;

/** lanes_new() - @ended is called in a lane's thread when that has done what was due; @stale: see lanes_retry(). Both of
 * @options and @cancel are borrowed; a set @cancel ends what is under way. */
struct lanes *lanes_new(const struct notify_options *options, struct cancel *cancel,
                        void (*ended)(void *arg, bool stale), void *arg);
/** lanes_free() - waits for all threads, so set the cancel token first. NULL allowed; returns NULL. */
struct lanes *lanes_free(struct lanes *l);
/** lanes_run() - start a thread in each lane in which something is due by @r. Does not wait for any. Return: when the first is
 * due in a lane that has none; INT64_MAX. *@ret_busy: some have one, which calls @ended. Of one thread only, as
 * lanes_retry(). */
int64_t lanes_run(struct lanes *l, const struct round *r, bool *ret_busy);
/** lanes_retry() - another configuration is in force: nothing is held off any more; what is under way is stale, since its
 * failure says nothing about that. */
void lanes_retry(struct lanes *l);

/** notify_start() - notify_new() with a deliver() of the caller's own. */
int notify_start(const struct notify_options *options, struct notify **ret_notify, struct error *err);

/* What is written to the catalog at once, and the texts of it. */
struct news {
	struct catalog_news all;
	struct catalog_notice *notices;
	struct catalog_beat *beats;
	struct catalog_digest_due *digests;
	struct catalog_told *told;
	int64_t *restores;
	char **texts;
	size_t text_count;
};

/** news_own() - keep a heap text until news_finish(); returns it. */
const char *news_own(struct news *n, char *text);
void news_add_notice(struct news *n, const struct catalog_notice *notice);
void news_add_beat(struct news *n, const struct catalog_beat *beat);
void news_add_digest(struct news *n, const char *receiver, int64_t due_us);
/** news_set_told() - from @after, which must live as long. */
void news_set_told(struct news *n, const struct told_list *after);
void news_finish(struct news *n);
static inline void cleanup_news(struct news *n)
{
	news_finish(n);
}
/** news_add_event() - one for each of @receivers that wants it; not for that whose name is @but, or,
 * when that ends in a blank, begins so (NULL: none). */
void news_add_event(struct news *n, const struct receivers *receivers, enum conf_event event, const char *but,
                    const struct catalog_notice *notice);

/** beats_look() - add what heartbeats are to be told. */
void beats_look(const struct round *r, struct news *n);
/** tell_holds_of_run() - notify_tell() of what a run has made and its trigger holds; does nothing when there is none. */
void tell_holds_of_run(struct notify *n, struct catalog *c, int64_t run_id);
/** holds_look() - add the ends of holds whose time is over; *@next_us becomes earlier when another one ends. */
void holds_look(const struct round *r, struct news *n, int64_t *next_us);
/** restores_look() - add the ends of restores that nobody was told of; of those that have ended before anything was told (@first) nobody need
 * be. */
void restores_look(const struct round *r, bool first, struct news *n);
/** digest_look() - add the summaries that are due; *@next_us becomes earlier when another one is. */
void digest_look(const struct round *r, const struct health *h, struct news *n, int64_t *next_us);
/** digest_wrong() - heap: what is wrong with a schedule; NULL: nothing. */
char *digest_wrong(const char *schedule);
