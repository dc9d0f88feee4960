// SPDX-License-Identifier: Apache-2.0
/*
 * BASE_BACKUP. What comes, one result after the other: where it starts; the tablespaces; COPYs; where it ended; that the command is complete. An error may come in place of
 * each of these, and the one of wrong checksums comes behind all data.
 */
#include "replication.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/load.h>

#include <errno.h>
#include <string.h>

#define FIRST_WITH_OPTIONS   150000
#define FIRST_WITH_SUMMARIES 170000

struct base_taking {
	struct pg_replication *s;
	const struct pg_base_to *to;
	struct pg_base_place *places;
	size_t count;
	size_t archives; /* that have begun */
	uint64_t start_lsn, end_lsn;
	uint64_t start_timeline, end_timeline;
	unsigned rows; /* results with rows so far: start, tablespaces, end */
	bool has_options, in_manifest, is_complete;
	PGresult *first_failed; /* behind it libpq may say that the connection is gone */
};

static void cleanup_base_taking(struct base_taking *t)
{
	PQclear(t->first_failed);
	for (size_t i = 0; i < t->count; i++)
		free((char *)t->places[i].path);
	free(t->places);
}

static void write_base_command(const struct pg_replication *s, const struct pg_base_options *o,
                               struct str *sql)
{
	if (PQserverVersion(s->session.conn) < FIRST_WITH_OPTIONS) {
		str_append(sql, "BASE_BACKUP LABEL ");
		sql_append_literal(sql, o->label);
		str_appendf(sql, " PROGRESS%s%s%s MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'",
		            o->spread ? "" : " FAST", o->with_wal ? " WAL" : "", o->waits ? "" : " NOWAIT");
		return;
	}
	str_append(sql, "BASE_BACKUP (LABEL ");
	sql_append_literal(sql, o->label);
	str_appendf(sql,
	            ", PROGRESS true, CHECKPOINT '%s', WAL %s, WAIT %s, MANIFEST 'yes', "
	            "MANIFEST_CHECKSUMS 'CRC32C'%s)",
	            o->spread ? "spread" : "fast", o->with_wal ? "true" : "false",
	            o->waits ? "true" : "false", o->incremental ? ", INCREMENTAL true" : "");
}

int pg_replication_manifest_begin(struct pg_replication *s, struct error *err)
{
	int version = PQserverVersion(s->session.conn);

	if (version < FIRST_WITH_SUMMARIES)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "PostgreSQL %d does not know what has changed since an earlier base backup; 17 "
		        "and later do",
		        version / 10000);
	return pg_load_copy(&s->session, "UPLOAD_MANIFEST", err);
}

int pg_replication_manifest_put(struct pg_replication *s, const void *data, size_t len, struct error *err)
{
	return pg_load_data(&s->session, data, len, err);
}

int pg_replication_manifest_end(struct pg_replication *s, struct error *err)
{
	uint64_t rows;

	return pg_load_end_within(&s->session, &rows, err);
}

static int fail_protocol(const char *what, struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, EPROTO,
	                 "the server has sent a base backup that is not as it should be: %s", what);
}

static int read_place_in_wal(const PGresult *row, uint64_t *ret_lsn, uint64_t *ret_timeline,
                             struct error *err)
{
	int r;

	if (PQntuples(row) != 1 || PQnfields(row) < 2)
		return fail_protocol("it does not say where it starts or ends", err);
	r = replication_read_lsn(PQgetvalue(row, 0, 0), ret_lsn, err);
	return r < 0 ? r : replication_read_number(PQgetvalue(row, 0, 1), UINT32_MAX, ret_timeline, err);
}

static int read_base_place(struct base_taking *t, const PGresult *row, int n, struct error *err)
{
	struct pg_base_place *p = &t->places[t->count];
	uint64_t oid = 0, kib = 0;
	int r = PQgetisnull(row, n, 0)
	                ? 0
	                : replication_read_number(PQgetvalue(row, n, 0), UINT32_MAX, &oid, err);

	if (r == 0 && !PQgetisnull(row, n, 2))
		r = replication_read_number(PQgetvalue(row, n, 2), UINT64_MAX >> 10, &kib, err);
	if (r < 0)
		return r;
	*p = (struct pg_base_place){
	        .oid = (uint32_t)oid, .path = mem_strdup(PQgetvalue(row, n, 1)), .bytes = kib << 10};
	t->count++;
	if ((p->oid == 0) != (n == PQntuples(row) - 1))
		return fail_protocol("the data directory is not the last of its tablespaces", err);
	return 0;
}

static int take_base_places(struct base_taking *t, const PGresult *row, struct error *err)
{
	int r = 0;

	if (PQntuples(row) < 1 || PQnfields(row) < 3)
		return fail_protocol("it has no list of tablespaces", err);
	t->places = mem_array((size_t)PQntuples(row), sizeof(*t->places));
	for (int n = 0; r == 0 && n < PQntuples(row); n++)
		r = read_base_place(t, row, n, err);
	if (r == 0)
		r = t->to->start(t->to->arg, t->start_lsn, (uint32_t)t->start_timeline, t->places, t->count,
		                 err);
	return r;
}

static int take_base_rows(struct base_taking *t, const PGresult *row, struct error *err)
{
	switch (t->rows++) {
	case 0:
		return read_place_in_wal(row, &t->start_lsn, &t->start_timeline, err);
	case 1:
		return take_base_places(t, row, err);
	case 2:
		return read_place_in_wal(row, &t->end_lsn, &t->end_timeline, err);
	default:
		return fail_protocol("there are rows behind its end", err);
	}
}

static int begin_base_archive(struct base_taking *t, struct error *err)
{
	if (t->in_manifest || t->archives >= t->count)
		return fail_protocol("it has more archives than tablespaces", err);
	return t->to->archive(t->to->arg, t->archives++, err);
}

static int begin_base_manifest(struct base_taking *t, struct error *err)
{
	if (t->in_manifest || t->archives < t->count)
		return fail_protocol("its manifest comes before its last archive", err);
	t->in_manifest = true;
	return 0;
}

static int take_base_data(struct base_taking *t, const void *data, size_t len, struct error *err)
{
	if (t->in_manifest)
		return t->to->manifest(t->to->arg, data, len, err);
	if (t->archives == 0)
		return fail_protocol("there are data before its first archive", err);
	return t->to->data(t->to->arg, data, len, err);
}

/* From 15 on: what a message is says its first byte. */
static int take_base_message(void *arg, const void *data, size_t len, struct error *err)
{
	struct base_taking *t = arg;

	if (!t->has_options)
		return take_base_data(t, data, len, err);
	if (len < 1)
		return fail_protocol("an empty message", err);
	switch (*(const char *)data) {
	case 'n':
		return begin_base_archive(t, err);
	case 'm':
		return begin_base_manifest(t, err);
	case 'd':
		return take_base_data(t, (const char *)data + 1, len - 1, err);
	case 'p':
		return 0;
	default:
		return fail_protocol("a message of a kind that is not known", err);
	}
}

/* Up to 14 each archive, and then the manifest, is a COPY of its own. */
static int take_base_copy(struct base_taking *t, struct error *err)
{
	int r = 0;

	if (t->rows != 2)
		return fail_protocol("data come where none belong", err);
	if (!t->has_options)
		r = t->archives < t->count ? begin_base_archive(t, err) : begin_base_manifest(t, err);
	return r < 0 ? r : session_take_copy(&t->s->session, take_base_message, t, err);
}

static int take_base_result(struct base_taking *t, PGresult *result, struct error *err)
{
	_cleanup(pg_result) PGresult *mine = result;
	ExecStatusType status = PQresultStatus(result);

	if (t->first_failed)
		return 0;
	switch (status) {
	case PGRES_TUPLES_OK:
		return take_base_rows(t, result, err);
	case PGRES_COPY_OUT:
		return take_base_copy(t, err);
	case PGRES_COMMAND_OK:
		t->is_complete = true;
		return 0;
	case PGRES_FATAL_ERROR:
		t->first_failed = take_ptr(&mine);
		return 0;
	default:
		return fail_protocol(PQresStatus(status), err);
	}
}

static int fail_base(const struct base_taking *t, struct error *err)
{
	struct error why = {0};
	int r = session_fail_query(&t->s->session, t->first_failed, &why);

	if (!err)
		return r;
	*err = why;
	if (t->s->warnings.len > 0)
		error_set(err, why.class, why.errnum, "%s%s", why.message, str_text(&t->s->warnings));
	err->retry = why.retry;
	err->hint = why.hint;
	str_copy(err->code, sizeof(err->code), why.code);
	return r;
}

static int take_base(struct base_taking *t, struct error *err)
{
	for (;;) {
		int r = session_wait_result(&t->s->session, 0, 0, err);
		PGresult *result;

		if (r < 0)
			return r;
		result = PQgetResult(t->s->session.conn);
		if (!result)
			break;
		r = take_base_result(t, result, err);
		if (r < 0)
			return r;
	}
	if (t->first_failed || PQstatus(t->s->session.conn) == CONNECTION_BAD)
		return fail_base(t, err);
	if (!t->is_complete || t->rows != 3 || !t->in_manifest)
		return fail_protocol("it has no end", err);
	return 0;
}

int pg_replication_base(struct pg_replication *s, const struct pg_base_options *options,
                        const struct pg_base_to *to, uint64_t *ret_end, uint32_t *ret_timeline,
                        struct error *err)
{
	_cleanup(base_taking) struct base_taking t = {
	        .s = s, .to = to, .has_options = PQserverVersion(s->session.conn) >= FIRST_WITH_OPTIONS};
	_cleanup(str) struct str sql = {0};
	int r;

	str_clear(&s->warnings);
	write_base_command(s, options, &sql);
	if (!PQsendQuery(s->session.conn, str_text(&sql)))
		return session_fail_query(&s->session, NULL, err);
	r = take_base(&t, err);
	if (r < 0)
		return r;
	*ret_end = t.end_lsn;
	*ret_timeline = (uint32_t)t.end_timeline;
	return 0;
}
