// SPDX-License-Identifier: Apache-2.0
/* What the records of the log itself and of transactions say. Source: catalog/pg_control.h, access/xlog_internal.h, access/xact.h, and
 * ParseCommitRecord() and ParseAbortRecord() in access/rmgrdesc/xactdesc.c. */
#include "wal_record.h"

#include <string.h>

#include <keepfs/base/cleanup.h>

/* The upper four bits of info, of WAL_MANAGER_XLOG. */
#define CHECKPOINT_SHUTDOWN 0x00
#define CHECKPOINT_ONLINE   0x10
#define SWITCH              0x40
#define BACKUP_END          0x50
#define RESTORE_POINT       0x70
#define FULL_PAGE_WRITES    0x80
#define RECOVERY_END        0x90

/* Three of them, of WAL_MANAGER_XACT; the fourth says that flags follow the time. */
#define OPERATION       0x70
#define COMMIT          0x00
#define ABORT           0x20
#define COMMIT_PREPARED 0x30
#define ABORT_PREPARED  0x40
#define HAS_FLAGS       0x80

#define CHECKPOINT_BYTES   72 /* as much of it as is read */
#define RESTORE_POINT_MAIN (8 + WAL_RESTORE_POINT_BYTES)
#define RECOVERY_END_BYTES 16

#define EPOCH_US  INT64_C(946684800000000) /* 2000 began so long after 1970 */
#define SECOND_US INT64_C(1000000)

/* The lists of a transaction's end, in their order: the flag that says that one is there, and how many words each item has. */
static const struct end_list {
	uint32_t flag;
	uint8_t words, words_from_18;
} lists[] = {
        {1U << 1, 1, 1}, /* subtransactions */
        {1U << 2, 3, 3}, /* files to be removed */
        {1U << 8, 3, 4}, /* statistics to be removed, from 15 on */
        {1U << 3, 4, 4}, /* messages to other servers' caches */
};
#define HAS_DATABASE   (1U << 0) /* two words, before the lists */
#define HAS_PREPARED   (1U << 4) /* the xid, behind them */
#define TIME_WORDS     2
#define DATABASE_WORDS 2
#define VERSION_18     18

/* Steps of struct wal_prepared; behind them, one for each list, and the xid. */
enum { STEP_TIME, STEP_FLAGS, STEP_LISTS };
#define STEP_XID  (STEP_LISTS + (unsigned)ARRAY_SIZE(lists))
#define STEP_DONE (STEP_XID + 1)

bool wal_is_prepared_end(uint8_t manager, uint8_t info)
{
	uint8_t operation = info & OPERATION;

	return manager == WAL_MANAGER_XACT && info & HAS_FLAGS &&
	       (operation == COMMIT_PREPARED || operation == ABORT_PREPARED);
}

/* The next list that is there, or the xid. */
static void step_to_list(struct wal_prepared *p, unsigned step)
{
	while (step < STEP_XID && !(p->flags & lists[step - STEP_LISTS].flag))
		step++;
	p->step = step == STEP_XID && !(p->flags & HAS_PREPARED) ? STEP_DONE : step;
}

static void take_end_word(struct wal_prepared *p, unsigned version, uint32_t word)
{
	if (p->skip > 0) {
		p->skip--;
		return;
	}
	if (p->step == STEP_TIME) {
		p->skip = TIME_WORDS - 1;
		p->step = STEP_FLAGS;
	} else if (p->step == STEP_FLAGS) {
		p->flags = word;
		p->skip = word & HAS_DATABASE ? DATABASE_WORDS : 0;
		step_to_list(p, STEP_LISTS);
	} else if (p->step < STEP_XID) {
		const struct end_list *list = &lists[p->step - STEP_LISTS];

		p->skip = (uint64_t)word * (version >= VERSION_18 ? list->words_from_18 : list->words);
		step_to_list(p, p->step + 1);
	} else {
		p->xid = word;
		p->step = STEP_DONE;
	}
}

void wal_prepared_feed(struct wal_prepared *p, unsigned version, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && p->step != STEP_DONE; i++) {
		p->word[p->word_have++] = data[i];
		if (p->word_have == sizeof(p->word)) {
			p->word_have = 0;
			take_end_word(p, version, wal_u32(p->word));
		}
	}
}

static int64_t server_time_us(const uint8_t *at)
{
	int64_t us;

	return __builtin_add_overflow((int64_t)wal_u64(at), EPOCH_US, &us) ? INT64_MAX : us;
}

static int64_t server_seconds_us(const uint8_t *at)
{
	int64_t us;

	return __builtin_mul_overflow((int64_t)wal_u64(at), SECOND_US, &us) ? INT64_MAX : us;
}

static void read_checkpoint_record(const struct wal_assembly *a, struct wal_record *r)
{
	if (a->main_have < CHECKPOINT_BYTES)
		return;
	r->kind = WAL_RECORD_CHECKPOINT;
	r->is_shutdown = (a->info & 0xF0) == CHECKPOINT_SHUTDOWN;
	r->redo = wal_u64(a->main);
	r->timeline = wal_u32(a->main + 8);
	r->old_timeline = wal_u32(a->main + 12);
	r->full_page_writes = a->main[16];
	r->at_us = server_seconds_us(a->main + 64);
}

static void read_restore_point(const struct wal_assembly *a, struct wal_record *r)
{
	if (a->main_have < RESTORE_POINT_MAIN)
		return;
	r->kind = WAL_RECORD_RESTORE_POINT;
	r->at_us = server_time_us(a->main);
	memcpy(r->name, a->main + 8, WAL_RESTORE_POINT_BYTES - 1);
}

static void read_recovery_end(const struct wal_assembly *a, struct wal_record *r)
{
	if (a->main_have < RECOVERY_END_BYTES)
		return;
	r->kind = WAL_RECORD_RECOVERY_END;
	r->at_us = server_time_us(a->main);
	r->timeline = wal_u32(a->main + 8);
	r->old_timeline = wal_u32(a->main + 12);
}

static void read_log_facts(const struct wal_assembly *a, struct wal_record *r)
{
	switch (a->info & 0xF0) {
	case CHECKPOINT_SHUTDOWN:
	case CHECKPOINT_ONLINE:
		read_checkpoint_record(a, r);
		break;
	case RESTORE_POINT:
		read_restore_point(a, r);
		break;
	case RECOVERY_END:
		read_recovery_end(a, r);
		break;
	case FULL_PAGE_WRITES:
		r->kind = a->main_have > 0 ? WAL_RECORD_FULL_PAGE_WRITES : WAL_RECORD_OTHER;
		r->full_page_writes = a->main_have > 0 && a->main[0];
		break;
	case BACKUP_END:
		r->kind = a->main_have >= 8 ? WAL_RECORD_BACKUP_END : WAL_RECORD_OTHER;
		r->redo = a->main_have >= 8 ? wal_u64(a->main) : 0;
		break;
	case SWITCH:
		r->kind = WAL_RECORD_SWITCH;
		break;
	}
}

static void read_transaction(const struct wal_assembly *a, struct wal_record *r)
{
	uint8_t operation = a->info & OPERATION;

	if (a->main_have < 8 || (operation != COMMIT && operation != ABORT && operation != COMMIT_PREPARED &&
	                         operation != ABORT_PREPARED))
		return;
	r->kind = operation == COMMIT || operation == COMMIT_PREPARED ? WAL_RECORD_COMMIT : WAL_RECORD_ABORT;
	r->at_us = server_time_us(a->main);
	r->is_prepared = operation == COMMIT_PREPARED || operation == ABORT_PREPARED;
	r->transaction = r->is_prepared ? a->prepared.xid : a->xid;
}

void wal_record_facts(const struct wal_assembly *a, struct wal_record *r)
{
	if (a->manager == WAL_MANAGER_XLOG)
		read_log_facts(a, r);
	else if (a->manager == WAL_MANAGER_XACT)
		read_transaction(a, r);
}
