// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/sql_objects.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define OBJECT_MAX_BYTES ((size_t)64 << 20)

struct sql_objects {
	int (*object)(void *arg, const struct sql_object *object, struct error *err);
	void *arg;
	struct str line; /* without its end, which has not come yet */
	struct str text; /* of the object that is read */
	char *name, *type, *schema;
	bool is_wanted; /* it is an object, and not rows */
	bool ended;     /* of the whole */
};

struct sql_objects *
sql_objects_new(int (*object)(void *arg, const struct sql_object *object, struct error *err), void *arg)
{
	struct sql_objects *o = mem_alloc(sizeof(*o));

	o->object = object;
	o->arg = arg;
	return o;
}

static void forget_object(struct sql_objects *o)
{
	free(take_ptr(&o->name));
	free(take_ptr(&o->type));
	free(take_ptr(&o->schema));
	str_clear(&o->text);
	o->is_wanted = false;
}

struct sql_objects *sql_objects_free(struct sql_objects *o)
{
	if (!o)
		return NULL;
	forget_object(o);
	str_finish(&o->line);
	str_finish(&o->text);
	free(o);
	return NULL;
}

/* What pg_dump sets between two objects is written when it changes, whatever comes next. */
static bool is_session_line(const char *line, size_t len)
{
	static const char *const begins[] = {
	        "SET default_tablespace = ", "SET default_table_access_method = ",
	        "SET default_with_oids = "};

	if (len == 0 || (len == 2 && memcmp(line, "--", 2) == 0))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		if (len > strlen(begins[i]) && memcmp(line, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static void trim_object(struct str *text)
{
	size_t begin = 0, len = text->len;

	while (begin < len && text->data[begin] == '\n')
		begin++;
	while (len > begin) {
		const char *feed = len > 1 ? memrchr(text->data, '\n', len - 1) : NULL;
		size_t at = feed ? (size_t)(feed + 1 - text->data) : 0;

		if (at < begin || !is_session_line(text->data + at, len - 1 - at))
			break;
		len = at;
	}
	text->len = len;
	if (len > 0)
		text->data[len] = '\0';
	if (begin > 0) {
		memmove(text->data, text->data + begin, len - begin + 1);
		text->len = len - begin;
	}
}

static int end_object(struct sql_objects *o, struct error *err)
{
	int r = 0;

	if (o->is_wanted) {
		trim_object(&o->text);
		r = o->object(o->arg,
		              &(struct sql_object){.name = o->name,
		                                   .type = o->type,
		                                   .schema = o->schema,
		                                   .text = str_text(&o->text),
		                                   .len = o->text.len},
		              err);
	}
	forget_object(o);
	return r;
}

static bool is_object_type(const char *type)
{
	static const char *const others[] = {"TABLE DATA",    "SEQUENCE SET",  "BLOB",           "BLOBS",
	                                     "BLOB METADATA", "BLOB COMMENTS", "STATISTICS DATA"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_equal(type, others[i]))
			return false;
	return true;
}

/* "-- Name: a; b; Type: TABLE; Schema: public; Owner: shop": a name may hold anything but a line end, so the last of each word counts. */
static bool take_object_heading(struct sql_objects *o, const char *line)
{
	static const char name[] = "Name: ", type[] = "; Type: ", schema[] = "; Schema: ",
	                  owner[] = "; Owner: ";
	const char *at = line + strlen("-- "), *types = NULL, *schemas, *owners;

	if (!str_starts(line, "-- "))
		return false;
	if (str_starts(at, "Data for "))
		at += strlen("Data for ");
	else if (str_starts(at, "Statistics for "))
		at += strlen("Statistics for ");
	if (!str_starts(at, name))
		return false;
	at += strlen(name);
	for (const char *next = at; (next = strstr(next, type)); next++)
		types = next;
	schemas = types ? strstr(types, schema) : NULL;
	owners = schemas ? strstr(schemas, owner) : NULL;
	if (!owners)
		return false;
	o->name = mem_printf("%.*s", (int)(types - at), at);
	types += strlen(type);
	o->type = mem_printf("%.*s", (int)(schemas - types), types);
	schemas += strlen(schema);
	o->schema = mem_printf("%.*s", (int)(owners - schemas), schemas);
	o->is_wanted = is_object_type(o->type);
	return true;
}

static bool ends_the_dump(const char *line)
{
	return str_equal(line, "-- PostgreSQL database dump complete");
}

/* A heading has a line "--" before it and behind it: both are taken off with the empty lines. */
static int take_sql_line(struct sql_objects *o, struct error *err)
{
	struct sql_objects next = {0};
	const char *line = str_text(&o->line);
	int r = 0;

	if (o->ended)
		return 0;
	if (ends_the_dump(line) || take_object_heading(&next, line)) {
		o->ended = ends_the_dump(line);
		r = end_object(o, err);
		o->name = next.name;
		o->type = next.type;
		o->schema = next.schema;
		o->is_wanted = next.is_wanted;
	} else if (o->is_wanted && (o->text.len > 0 || !str_equal(line, "--"))) {
		str_append_bytes(&o->text, o->line.data, o->line.len);
		str_append_char(&o->text, '\n');
	}
	str_clear(&o->line);
	return r;
}

int sql_objects_feed(struct sql_objects *o, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;
	int r = 0;

	while (r == 0 && p < end && !o->ended) {
		const char *feed = memchr(p, '\n', (size_t)(end - p));

		str_append_bytes(&o->line, p, (size_t)((feed ? feed : end) - p));
		if (o->line.len > OBJECT_MAX_BYTES || o->text.len > OBJECT_MAX_BYTES)
			return error_set(err, ERROR_CORRUPT, EFBIG,
			                 "an object of the schema is longer than 64 MiB");
		if (feed)
			r = take_sql_line(o, err);
		p = feed ? feed + 1 : end;
	}
	return r;
}

int sql_objects_end(struct sql_objects *o, struct error *err)
{
	int r = o->line.len > 0 ? take_sql_line(o, err) : 0;

	return r < 0 ? r : end_object(o, err);
}
