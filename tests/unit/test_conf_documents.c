// SPDX-License-Identifier: Apache-2.0
/* conf: the template, the man page, and the configuration in force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

/* "#secret_key_file = …": a further place of a secret, of which there may be one only. */
static bool is_other_place(const char *line)
{
	size_t len = strcspn(line + 1, " ");

	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].instead_of && strlen(conf_keys[i].name) == len &&
		    strncmp(line + 1, conf_keys[i].name, len) == 0)
			return true;
	return false;
}

/* The template with its examples in force, but for those of keys that end in @but. */
static void uncomment(const char *template, const char *but, struct str *out)
{
	for (const char *p = template; *p; p += strcspn(p, "\n") + 1) {
		size_t len = strcspn(p, "\n") + 1;

		if (p[0] == '#' && p[1] != ' ' && !memmem(p, len, but, strlen(but)) && !is_other_place(p))
			str_append_bytes(out, p + 1, len - 1);
		else
			str_append_bytes(out, p, len);
	}
}

/* Every value of the configuration in force is a default, or comes from the file, but for keys that hold @but. */
static void check_origins(struct fixture *f, bool from_file, const char *but)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(&f->conf, n, &ref); n++) {
		while (conf_next_key(&ref)) {
			const struct conf_origin *origin = conf_origin_of(&f->conf, ref);

			if (from_file)
				assert_true(origin->line > 0 || strstr(conf_keys[ref.key].name, but) ||
				            conf_keys[ref.key].instead_of);
			else
				assert_string_equal(origin->text, "default");
		}
	}
}

static void test_template(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0}, all = {0}, defaults = {0}, again = {0};

	/* As it is written, it means the defaults. */
	conf_write_template(&text, NULL, NULL, NULL);
	accept(f, str_text(&text));
	assert_string_equal(str_text(&f->problems), "");
	free(take_ptr(&f->conf.path));
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *k = &conf_keys[i];
		_cleanup(free) char *line = mem_printf("\n#%s = ", k->name);

		assert_non_null(strstr(str_text(&text), line));
		assert_true(strlen(k->help) > 20 && k->help[strlen(k->help) - 1] == '.');
	}
	check_origins(f, false, "");
	/* What is shared is explained once. */
	assert_non_null(strstr(str_text(&text), "\n#[files documents]\n"));
	assert_non_null(strstr(str_text(&text),
	                       "\n#skip_unreadable = no\n\n# As in [backup NAME]:\n#compression = fast\n"
	                       "#verify = readback\n"));
	conf_write_effective(&f->conf, &again);
	conf_finish(&f->conf);
	assert_int_equal(conf_load(NULL, &f->conf, &f->problems), 0);
	conf_write_effective(&f->conf, &defaults);
	assert_string_equal(str_text(&again), str_text(&defaults));
	/* Every line that it offers can be taken as it stands, but for one that contradicts another. */
	uncomment(str_text(&text), "schemas = ", &all);
	accept(f, str_text(&all));
	check_origins(f, true, "schemas");
	str_clear(&all);
	uncomment(str_text(&text), "tables = ", &all);
	accept(f, str_text(&all));
	check_origins(f, true, "tables");
	/* With what `keepfs init` was told. */
	str_clear(&text);
	conf_write_template(&text, "/s", "/m", "dir:/o");
	accept(f, str_text(&text));
	assert_string_equal(f->conf.state_dir, "/s");
	assert_string_equal(f->conf.mountpoint, "/m");
	assert_string_equal(f->conf.store.url, "dir:/o");
	for (const char *p = str_text(&text); *p; p += strcspn(p, "\n") + 1)
		assert_true(strcspn(p, "\n") <= 110);
}

static void test_man(void **state)
{
	_cleanup(str) struct str text = {0};

	conf_write_man(&text);
	assert_true(str_starts(str_text(&text), "# OPTIONS\n"));
	for (size_t i = 0; i < conf_key_count; i++) {
		_cleanup(str) struct str line = {0};

		str_append(&line, "\n*");
		for (const char *p = conf_keys[i].name; *p; p++)
			str_appendf(&line, "%s%c", *p == '_' ? "\\" : "", *p);
		str_append(&line, "*\n\t");
		assert_non_null(strstr(str_text(&text), str_text(&line)));
	}
	assert_non_null(strstr(str_text(&text), "Environment: KEEPFS\\_BACKUP\\_<NAME>\\_PG\\_BINDIR.\n"));
	assert_non_null(strstr(str_text(&text),
	                       "\n\nAs in [backup NAME], with variables that begin with "
	                       "KEEPFS\\_FILES\\_<NAME>\\_: *compression*, *verify*, *max\\_rate*, "));
	assert_non_null(strstr(str_text(&text), "Environment: KEEPFS\\_STORE\\_REGION, then AWS\\_REGION, "
	                                        "AWS\\_DEFAULT\\_REGION.\n"));
}

static void test_effective(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};
	const char *t;

	setenv("KEEPFS_STOP_GRACE", "90s", 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	setenv("AWS_SESSION_TOKEN", "HIDDEN", 1);
	accept(f, "[store]\nurl = s3://bucket\naccess_key = AKIA\nsecret_key = HIDDEN\n"
	          "[backup full]\ndatabase = postgresql://user:HIDDEN@host/db?x=1\n"
	          "[backup b]\ndatabase = host=h password='HIDDEN x' user=u\ndatabases = a \"b c\"\n"
	          "compression = gzip\ntables = a.\"B c\"  x\nmax_rate = 1048576\njobs = 2\n");
	conf_write_effective(&f->conf, &text);
	t = str_text(&text);
	assert_null(strstr(t, "HIDDEN"));
	assert_non_null(strstr(t, "secret_key = ********  # "));
	assert_non_null(strstr(t, "keepfs.conf:4\n"));
	assert_non_null(strstr(t, "\nsession_token =   # default\n"));
	assert_non_null(strstr(t, "\nstop_grace = 90s  # KEEPFS_STOP_GRACE\n"));
	assert_non_null(strstr(t, "\nregion = eu-central-1  # AWS_REGION\n"));
	assert_non_null(strstr(t, "\nmemory = 256M  # default\n"));
	assert_non_null(strstr(t, "\nfile_mode = 0600  # default\n"));
	assert_non_null(strstr(t, "\n[backup full]\ndatabase = postgresql://user:********@host/db?x=1  # "));
	assert_non_null(strstr(t, "\n[backup b]\ndatabase = host=h password=******** user=u  # "));
	assert_non_null(strstr(t, "\ndatabases = a, \"b c\"  # "));
	assert_non_null(strstr(t, "\ncompression = gzip:6  # "));
	assert_non_null(strstr(t, "\ntables = a.\"B c\", x  # "));
	assert_non_null(strstr(t, "\nmax_rate = 1M/s  # "));
	assert_non_null(strstr(t, "\njobs = 2  # "));
	assert_non_null(strstr(t, "\njobs = auto  # default"));
	assert_non_null(strstr(t, "\nlock_wait_timeout = none  # default"));
	/* A struct that was not loaded has no sources to tell. */
	str_clear(&text);
	conf_finish(&f->conf);
	conf_write_effective(&f->conf, &text);
	assert_null(strstr(str_text(&text), "  # "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_template),
	        CONF_TEST(test_man),
	        CONF_TEST(test_effective),
	};

	return RUN_CONF_TESTS(tests);
}
