// SPDX-License-Identifier: Apache-2.0
/* conf: what keys say about each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_contradictions(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
	        /* Copies of backups. */
	        {"[store o]\nurl = dir:/o\n[backup full]\ncopies = o\n",
	         ":4: [backup full] copies: 'primary' is missing: [store] has every backup first; allowed: primary, and names of [store NAME]"},
	        {"[store o]\nurl = dir:/o\n[files f]\npath = /f\ncopies = primary, p\n",
	         ":5: [files f] copies: there is no section [store p]"},
	        {"[store o]\nurl = dir:/o\n[backup full]\ncopies = o, primary, o\n",
	         ":4: [backup full] copies = o, primary, o: names o twice"},
	        {"[store o]\nurl = dir:/o\ntenants = *\n[backup full]\ncopies = primary, o\n",
	         ":5: [backup full] copies: [store o] cannot have copies of backups: its key tenants says"},
	        {"[store primary]\nurl = dir:/o\n",
	         ": [store primary]: 'copies' calls [store] so; allowed: another NAME"},
	        {"[store o]\nurl = dir:/o\nkeep = forever\nkeep_last = 3\n",
	         ":4: [store o] keep_last = 3: says what may go"},
	        {"[store o]\nurl = dir:/o\nwindow = at night\n",
	         ":3: [store o] window = at night: \"at night\" is no window"},
	        {"[store]\nurl = s3://bucket\nsse = AES256\nsse_kms_key = k\n",
	         ":4: [store] sse_kms_key = k: is for sse = aws:kms only, but [store] sse = AES256 (FILE:3)"},
	        {"[store]\nurl = s3://bucket\nsse_kms_key = k\n", "[store] sse = none (default)"},
	        {"[store]\nurl = s3://bucket\nendpoint = http://h\n",
	         ":3: [store] endpoint = http://h: sends backups as clear text, but [store] allow_http = no "
	         "(default); "
	         "allowed: https://, or allow_http = yes"},
	        {"[store]\nurl = dir:/x\nendpoint = https://h\n",
	         ":3: [store] endpoint = https://h: is for a bucket only, but [store] url = dir:/x (FILE:2)"},
	        {"[store]\nprofile = p\n",
	         ":2: [store] profile = p: is for a bucket only, but [store] url = dir:"},
	        {"[store]\nsse = AES256\n", ":2: [store] sse = AES256: is for a bucket only"},
	        {"[store]\nurl = s3://bucket\naccess_key = A\n",
	         ":3: [store] access_key = A: needs its secret, but [store] secret_key =  (default)"},
	        {"[store]\nurl = s3://bucket\nsecret_key = SECRET\n",
	         ":3: [store] secret_key = ********: needs its id, but [store] access_key =  (default)"},
	        {"[store]\nurl = s3://bucket\nsession_token = SECRET\n",
	         ":3: [store] session_token = ********: belongs to an access key"},
	        {"[keepfs]\nstate_dir = /srv/keep/state\nmountpoint = /srv/keep\n",
	         ":2: [keepfs] state_dir = /srv/keep/state: lies inside, around or at [keepfs] mountpoint = "
	         "/srv/keep "
	         "(FILE:3)"},
	        {"[keepfs]\nstate_dir = /srv\nmountpoint = /srv/keep\n",
	         ":2: [keepfs] state_dir = /srv: lies"},
	        {"[keepfs]\nstate_dir = /mnt/keep/s\n", "[keepfs] mountpoint = /mnt/keep (default)"},
	        {"[keepfs]\nmountpoint = /\n", "mountpoint = /"},
	        {"[keepfs]\nmountpoint = /m\n[store]\nurl = dir:/m/o\n",
	         ":4: [store] url = dir:/m/o: lies inside, around or at [keepfs] mountpoint = /m (FILE:2)"},
	        {"[keepfs]\nmountpoint = /o/m\n[store]\nurl = dir:/o\n",
	         ":4: [store] url = dir:/o: lies inside"},
	        {"[keepfs]\nstate_dir = /o/s\n[store]\nurl = dir:/o\n",
	         ":2: [keepfs] state_dir = /o/s: lies inside"},
	        {"[keepfs]\nmountpoint = /m\n[read]\ncache_dir = /m/c\n",
	         ":4: [read] cache_dir = /m/c: lies inside, around or at [keepfs] mountpoint = /m (FILE:2); "
	         "allowed: a directory for the cache alone"},
	        {"[keepfs]\nmountpoint = /c/m\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies inside, around or at [keepfs] mountpoint"},
	        {"[read]\ncache_dir = /mnt/keep\n", "at [keepfs] mountpoint = /mnt/keep (default)"},
	        {"[store]\nurl = dir:/o\n[read]\ncache_dir = /o/c\n",
	         ":4: [read] cache_dir = /o/c: lies inside, around or at [store] url = dir:/o (FILE:2)"},
	        {"[store]\nurl = dir:/o\n[read]\ncache_dir = /o\n", ":4: [read] cache_dir = /o: lies"},
	        {"[store]\nurl = dir:/c/o\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies inside, around or at [store] url"},
	        {"[keepfs]\nstate_dir = /s\n[read]\ncache_dir = /s\n",
	         ":4: [read] cache_dir = /s: lies around or at [keepfs] state_dir = /s (FILE:2); allowed: a "
	         "directory for the cache alone, such as one in state_dir"},
	        {"[keepfs]\nstate_dir = /c/s\n[read]\ncache_dir = /c\n",
	         ":4: [read] cache_dir = /c: lies around or at [keepfs] state_dir"},
	        {"[keepfs]\nmemory = 64M\n", ":2: [keepfs] memory = 64M: half of memory must hold 3 parts, "
	                                     "and 4 more for each of [keepfs] parallel_runs = 2 "
	                                     "(default), but with [store] part_size = 8M (default); allowed: "
	                                     "memory = 176M or more, or smaller"},
	        {"[keepfs]\nparallel_runs = 4\n", ":2: [keepfs] parallel_runs = 4: half of memory"},
	        {"[store]\npart_size = 64M\n", ":2: [store] part_size = 64M: half of memory"},
	        {"[backup a]\n[backup full]\nformat = plain\ncompression = zstd\n",
	         ":4: [backup full] compression = zstd:3: is for custom backups only, but [backup full] "
	         "format "
	         "= plain (FILE:3); allowed: fast, small, none, gzip or gzip:1"},
	        {"[backup full]\nformat = directory\ncompression = zstd:1\n",
	         ":3: [backup full] compression = zstd:1: is for custom"},
	        {"[backup full]\nformat = plain\njobs = 2\n",
	         ":3: [backup full] jobs = 2: reads through several connections, but one stream of SQL is "
	         "made "
	         "with [backup full] format = plain (FILE:2); allowed: jobs = 1 or auto"},
	        {"[backup full]\njobs = 2\ncontent = schema\n", ":2: [backup full] jobs = 2: reads rows"},
	        {"[backup full]\ncontent = schema\nexclude_table_data = a\n",
	         ":3: [backup full] exclude_table_data = a: leaves out rows, but there are none with [backup "
	         "full] content = schema (FILE:2)"},
	        {"[backup full]\nschemas = a b\nexclude_schemas = c b\n",
	         ":3: [backup full] exclude_schemas = c, b: leaves out a pattern that is asked for by "
	         "[backup "
	         "full] schemas = a, b (FILE:2)"},
	        {"[backup full]\ntables = a b\nexclude_tables = b c\n",
	         ":3: [backup full] exclude_tables = b, c: leaves out"},
	        {"[backup full]\ntables = a\nschemas = b\n",
	         ":3: [backup full] schemas = b: has no effect beside [backup full] tables = a (FILE:2)"},
	        {"[backup full]\ntables = a\nexclude_schemas = b\n",
	         ":3: [backup full] exclude_schemas = b: has no effect beside"},
	        {"[backup full]\nglobals = yes\ncontent = data\n",
	         ":2: [backup full] globals = yes: keeps roles, but nothing is created"},
	        {"[backup full]\nglobals = yes\nschemas = a\n",
	         ":2: [backup full] globals = yes: belongs to a whole database, but there is [backup full] "
	         "schemas = a (FILE:3)"},
	        {"[backup full]\nglobals = yes\nexclude_schemas = a\n", "[backup full] exclude_schemas = a"},
	        {"[backup full]\nglobals = yes\ntables = a\n", "[backup full] tables = a"},
	        {"[backup full]\nglobals = yes\nexclude_tables = a\n", "[backup full] exclude_tables = a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *mark = strstr(cases[i].expected, "FILE");
		_cleanup(free) char *expected = mark ? mem_printf("%.*s%s%s", (int)(mark - cases[i].expected),
		                                                  cases[i].expected, f->file, mark + 4)
		                                     : mem_strdup(cases[i].expected);

		refuse(f, cases[i].text, expected);
	}
	/* Not contradictions. */
	accept(f, "[keepfs]\nmemory = 112M\nparallel_runs = 1\n");
	accept(f, "[store]\nurl = s3://bucket\nendpoint = http://127.0.0.1:80\nallow_http = on\n");
	accept(f, "[store]\nendpoint =\nsse = none\n");
	accept(f, "[keepfs]\nmountpoint = /srv/keep\nstate_dir = /srv/keepfs\n");
	accept(f, "[keepfs]\nstate_dir = /s\n[read]\ncache_dir = /s/cache\n");
	accept(f, "[store]\nurl = dir:/srv/c\n[read]\ncache_dir = /srv/cache\n");
	accept(f, "[store]\nurl = s3://bucket/c\n[read]\ncache_dir = /c\n");
	accept(f, "[backup full]\nformat = plain\ncompression = gzip:9\njobs = 1\n");
	accept(f, "[backup full]\nformat = directory\ncompression = none\njobs = 8\n");
	accept(f, "[backup full]\ncontent = schema\njobs = auto\nglobals = yes\n");
	accept(f, "[backup full]\nglobals = yes\nexclude_table_data = a\n");
	accept(f, "[backup full]\ntables = a.*\nexclude_tables = a.b\nexclude_table_data = a.b\n");
	accept(f, "[backup full]\nschemas = a\n[backup b]\nexclude_schemas = a\n");
	/* A value that was refused is not told a second time by what it contradicts. */
	refuse(f, "[store]\nurl = s3://bucket\nsse = x\nsse_kms_key = k\n", "sse = x: is none of the words");
	refuse(f, "[backup a]\nformat = plain\njobs = 99\n", "jobs = 99: is too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_contradictions),
	};

	return RUN_CONF_TESTS(tests);
}
