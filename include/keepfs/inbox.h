// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The kind of jobs into which files are written, [inbox NAME]: what somebody copies into inbox/NAME/ of the mount becomes a backup in backups/NAME/. Each file that comes in is a run of its own, of the work
 * inbox_work: it begins with the first bytes, takes what is written through an intake, and publishes when the file is closed and its content is whole.
 *
 *   inbox_arrive()            whoever has the open file announces it, with its intake
 *   jobs_submit()             of inbox_work, with the text of inbox_arrival_order(); then inbox_arrival_queued()
 *   inbox_arrival_name()      the name that it was written under was a temporary one (rsync): this is the one that it is to have
 *   ended()                   called once: what became of it
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/make.h>
#include <keepfs/stream/intake.h>

/** struct inbox_arrivals - the files that are coming in; one of a mount (make_context.arrivals). Any thread. */
struct inbox_arrivals;
struct inbox_arrivals *inbox_arrivals_new(void);
/** inbox_arrivals_free() - when nobody has an arrival any more. NULL allowed; returns NULL. */
struct inbox_arrivals *inbox_arrivals_free(struct inbox_arrivals *a);

struct inbox_arrival_options { /* borrowed for the call, but for the intake and @arg */
	const char *job;       /* "legacy" */
	const char *name;      /* under which it is written: "old.dump", ".old.dump.x7Gh2K" */
	bool is_temporary;     /* that is not its last name, see inbox_name_is_temporary() */
	struct intake *intake; /* gets a reference */
	/* On the thread of the run, or of whoever ended it: 0 with the path of the backup that has it now ("backups/legacy/20261120T020000Z.dump"), and in @err.message what is to be said of it
	 * ("" or that it was there already); negative errno. Before the writer learns of it. May block for the catalog. */
	void (*ended)(void *arg, int r, const char *path, const struct error *err);
	void *arg;
};

struct inbox_arrival;
/** inbox_arrive() - one more; the caller's inbox_arrival_unref(). */
struct inbox_arrival *inbox_arrive(struct inbox_arrivals *a, const struct inbox_arrival_options *options);
struct inbox_arrival *inbox_arrival_unref(struct inbox_arrival *a); /* NULL allowed; returns NULL */
/** inbox_arrival_order() - heap: what the run is to do, as text: "legacy name=old.dump number=3". */
char *inbox_arrival_order(const struct inbox_arrival *a);
/** inbox_arrival_queued() - it has a run. When that has ended already, which it may without having begun, the arrival ends here. */
void inbox_arrival_queued(struct inbox_arrival *a);
/** inbox_arrival_end() - it will have no run, or was given up before it had one: ended() is called, and the intake is finished. The first call counts. */
void inbox_arrival_end(struct inbox_arrival *a, int r, const struct error *err);
/** inbox_arrival_name() - its name is @name now, for good; the intake is to be offered an end behind this. */
void inbox_arrival_name(struct inbox_arrival *a, const char *name);

/** inbox_name_is_temporary() - what programs call a file while they write it, and rename then: ".old.dump.x7Gh2K", "old.dump.partial". Pure. */
bool inbox_name_is_temporary(const char *name);

/** inbox_kind - the kind of jobs; a run of it would have nothing to make. inbox_work - what the run of one file does. */
extern const struct make_kind inbox_kind, inbox_work;

/**
 * inbox_adopt - files that lie in a place of others become backups of an inbox where they lie
 * Words: where: the url of a [store NAME] or of something below it, or NAME. Pairs: job=NAME (of an [inbox NAME]), plan=yes (only says what would be taken), all=yes (also files of kinds that are not
 * known), note=TEXT. What was looked at before, and is the same still, is not read again.
 */
extern const struct make_kind inbox_adopt;
