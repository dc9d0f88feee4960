// SPDX-License-Identifier: Apache-2.0
/*
 * copy_json_rows [MIB]: how many MB of rows of COPY's text a second of one processor makes into JSON, for typical tables. Beside it is the floor: the
 * same rows copied with memcpy(), one by one, into the same kind of memory.
 */
#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_json.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BATCH_ROWS  1000
#define HAND_OVER   ((size_t)1 << 20) /* as much is written before the memory is used again */
#define MIB_DEFAULT 256

struct table {
	const char *name;
	const struct copy_json_column *columns;
	size_t count;
	void (*row)(struct str *out, unsigned i);
};

static const unsigned char bench_key[COPY_JSON_KEY_BYTES] = "a key of benchmarks, 32 bytes ..";

static const struct copy_json_column common[] = {
        {.name = "id"},
        {.name = "org_id"},
        {.name = "total", .kind = COPY_JSON_NUMBER},
        {.name = "quantity", .kind = COPY_JSON_NUMBER},
        {.name = "paid", .kind = COPY_JSON_BOOL},
        {.name = "created_at", .kind = COPY_JSON_TIMESTAMPTZ},
        {.name = "updated_at", .kind = COPY_JSON_TIMESTAMP},
        {.name = "details", .kind = COPY_JSON_JSON},
        {.name = "note"},
};

static void common_row(struct str *out, unsigned i)
{
	str_appendf(out, "%08x-1c3e-4f60-9a7b-%012x\t%08x-77aa-4b1d-8f00-0123456789ab\t%u.%02u\t%u\t%c",
	            i * 2654435761U, i, i % 50, i % 100000, i % 100, i % 17, i % 3 ? 't' : 'f');
	str_appendf(out, "\t2026-11-20 02:%02u:%02u.%06u+00\t2026-11-20 02:00:%02u\t", i % 60, i / 60 % 60,
	            i % 1000000, i % 60);
	str_appendf(
	        out,
	        "{\"sku\": \"A-%u\", \"tags\": [\"new\", \"sale\"], \"price\": %u.5, \"stock\": {\"Berlin\": %u, \"Wien\": null}}\t",
	        i, i % 900, i);
	str_appendf(out, "Customer called about the delivery of order %u, will be sent again on Monday\n", i);
}

static const struct copy_json_column integers[] = {
        {.name = "id", .kind = COPY_JSON_NUMBER}, {.name = "a", .kind = COPY_JSON_NUMBER},
        {.name = "b", .kind = COPY_JSON_NUMBER},  {.name = "c", .kind = COPY_JSON_NUMBER},
        {.name = "d", .kind = COPY_JSON_FLOAT},
};

static void integer_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\t%u\t-%u\t%u\t%u.25\n", i, i * 2654435761U, i % 1000, i % 7, i * 13);
}

static const struct copy_json_column texts[] = {{.name = "id", .kind = COPY_JSON_NUMBER}, {.name = "body"}};

static void text_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\t", i);
	for (unsigned n = 0; n < 20; n++)
		str_appendf(
		        out,
		        "This is line %u of a longer text, as people write it in a comment or a description.\\n",
		        n);
	str_append(out, "And that was \"all\" of it.\n");
}

static void umlaut_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\t", i);
	for (unsigned n = 0; n < 20; n++)
		str_append(out,
		           "Über den Wölken muß die Freiheit wohl grenzenlos sein, größer als gedacht. ");
	str_append(out, "\n");
}

static void chinese_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\t", i);
	for (unsigned n = 0; n < 20; n++)
		str_append(out, "数据库备份必须可以在没有任何工具的情况下读取。");
	str_append(out, "\n");
}

static const struct copy_json_column documents[] = {{.name = "id", .kind = COPY_JSON_NUMBER},
                                                    {.name = "payload", .kind = COPY_JSON_JSON}};
static char *const token_keys[] = {(char *)"user", (char *)"token"};
static const struct copy_json_path token_path[] = {{token_keys, 2, COPY_JSON_MASK}};
static const struct copy_json_column redacted[] = {
        {.name = "id", .kind = COPY_JSON_NUMBER},
        {.name = "payload", .kind = COPY_JSON_JSON, .paths = token_path, .path_count = 1}};

static void document_row(struct str *out, unsigned i)
{
	str_appendf(
	        out,
	        "%u\t{\"user\": {\"id\": %u, \"name\": \"Ada Lovelace\", \"token\": \"sk_%u\"}, \"items\": [",
	        i, i, i);
	for (unsigned n = 0; n < 12; n++)
		str_appendf(
		        out,
		        "%s{\"id\": %u, \"title\": \"Item number %u of this order\", \"price\": %u.99, \"ok\": true}",
		        n ? ", " : "", n, n, n * 7);
	str_append(out, "]}\n");
}

static const struct copy_json_column arrays[] = {
        {.name = "id", .kind = COPY_JSON_NUMBER},
        {.name = "tags", .is_array = true, .delimiter = ','},
        {.name = "values", .kind = COPY_JSON_NUMBER, .is_array = true, .delimiter = ','}};

static void array_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\t{red,green,\"light blue\",NULL,tag%u}\t{%u,2,3,44,555,6666,77777,888888}\n", i,
	            i, i);
}

static const struct copy_json_column hashed[] = {{.name = "id", .kind = COPY_JSON_NUMBER},
                                                 {.name = "email", .how = COPY_JSON_HASH}};

static void hashed_row(struct str *out, unsigned i)
{
	str_appendf(out, "%u\tada.lovelace.%u@example.com\n", i, i);
}

static double seconds_since(clock_t began)
{
	return (double)(clock() - began) / CLOCKS_PER_SEC;
}

/* Each row of the batch, until @bytes of them were made. */
static double measure(const struct str *batch, size_t bytes, struct copy_json *j, struct str *out)
{
	clock_t began = clock();

	for (size_t done = 0; done < bytes; done += batch->len) {
		const char *p = batch->data, *end = p + batch->len, *line_end;

		for (; p < end && (line_end = memchr(p, '\n', (size_t)(end - p))); p = line_end + 1) {
			struct error err = {0};
			size_t len = (size_t)(line_end - p);

			if (out->len > HAND_OVER)
				str_clear(out);
			if (!j)
				str_append_bytes(out, p, len);
			else if (copy_json_row(j, p, len, out, &err) < 0)
				fprintf(stderr, "copy_json_rows: %s\n", err.message);
			str_append_bytes(out, "\n", 1);
		}
	}
	return seconds_since(began);
}

static int measure_table(const struct table *t, size_t mib)
{
	_cleanup(copy_json) struct copy_json *j = NULL;
	_cleanup(str) struct str batch = {0}, out = {0};
	double floor_s, json_s, mb = (double)mib * 1048576 / 1e6;
	struct error err = {0};
	int r = copy_json_new(t->columns, t->count, bench_key, &j, &err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < BATCH_ROWS; i++)
		t->row(&batch, i * 1009);
	(void)measure(&batch, batch.len, j, &out);
	floor_s = measure(&batch, mib << 20, NULL, &out);
	json_s = measure(&batch, mib << 20, j, &out);
	printf("%-40s %4zu bytes a row: %6.0f MB/s, memcpy() of the rows %6.0f MB/s\n", t->name,
	       batch.len / BATCH_ROWS, mb / json_s, mb / floor_s);
	return 0;
}

#define TABLE(name, columns, row)                                                                            \
	{                                                                                                    \
		name, columns, ARRAY_SIZE(columns), row                                                      \
	}

int main(int argc, char **argv)
{
	static const struct table tables[] = {
	        TABLE("uuid, numeric, times, jsonb, text", common, common_row),
	        TABLE("short numbers", integers, integer_row),
	        TABLE("long texts", texts, text_row),
	        TABLE("long texts with umlauts", texts, umlaut_row),
	        TABLE("Chinese texts", texts, chinese_row),
	        TABLE("jsonb", documents, document_row),
	        TABLE("jsonb with a path that is redacted", redacted, document_row),
	        TABLE("arrays", arrays, array_row),
	        TABLE("a column that is hashed", hashed, hashed_row),
	};
	size_t mib = argc == 2 ? strtoul(argv[1], NULL, 10) : MIB_DEFAULT;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (measure_table(&tables[i], mib) < 0)
			return 1;
	return 0;
}
