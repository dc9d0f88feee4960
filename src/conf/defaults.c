// SPDX-License-Identifier: Apache-2.0
/* What applies where nobody said anything: AWS's variables for an s3:// store, then the table's defaults,
 * then those that depend on the user and on other keys. In the table's order, so a default may use what
 * stands above. */
#include "load.h"

#include <keepfs/base/mem.h>
#include <keepfs/conf/profiles.h>

#include "value.h"

#include <string.h>

static bool is_s3(const struct conf *c)
{
	return c->store.url && str_starts(c->store.url, "s3://");
}

static bool set_from_also(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];

	for (size_t i = 0; i < ARRAY_SIZE(k->also) && k->also[i]; i++) {
		const char *name = k->also[i], *value = getenv(name);

		if (!value || !value[strspn(value, CONF_WHITE_SPACE)])
			continue;
		conf_set(l, ref, value, name, 0, false);
		return !conf_origin_of(&l->conf, ref)->wrong;
	}
	return false;
}

static char *default_state_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	_cleanup(free) char *home = conf_home();

	if (geteuid() == 0)
		return mem_strdup("/var/lib/keepfs");
	if (state && *state == '/')
		return mem_printf("%s/keepfs", state);
	return home ? mem_printf("%s/.local/state/keepfs", home) : NULL;
}

static char *default_region(struct conf *c, char **ret_source)
{
	const char *profile = conf_profile_name(&c->store, NULL), *region = NULL;
	_cleanup(conf_profiles) struct conf_profiles *profiles = is_s3(c) ? conf_profiles_read() : NULL;

	if (profiles)
		region = conf_profiles_get(profiles, profile, "region");
	if (region)
		*ret_source = conf_profiles_place_of(profiles, profile, "region");
	return mem_strdup(region ? region : "us-east-1");
}

/* Text of a default that the table cannot hold; NULL when there is none. */
static char *compute_text(struct conf *c, const char *name, char **ret_source)
{
	if (strcmp(name, "state_dir") == 0)
		return default_state_dir();
	if (strcmp(name, "owner") == 0)
		return mem_printf("%u", geteuid());
	if (strcmp(name, "group") == 0)
		return mem_printf("%u", getegid());
	if (strcmp(name, "host_key_file") == 0)
		return mem_printf("%s/host.key", c->state_dir);
	if (strcmp(name, "url") == 0)
		return mem_printf("dir:%s/objects", c->state_dir);
	return default_region(c, ret_source);
}

static void set_default(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	const char *header = conf_sections[ref.section].header;
	struct conf_origin *origin = conf_origin_of(&l->conf, ref);
	_cleanup(free) char *source = NULL;
	_cleanup(free) char *computed = NULL;
	_cleanup(str) struct str wrong = {0};

	if (!k->fallback)
		computed = compute_text(&l->conf, k->name, &source);
	if (!k->fallback && !computed) {
		conf_problem(l, 0, "%s %s: has no default, as HOME is not set; set this key", header,
		             k->name);
		computed = mem_strdup("/var/lib/keepfs"); /* so that the other keys can be looked at */
	}
	if (conf_value_parse(k, computed ? computed : k->fallback, conf_base(&l->conf, ref), &wrong) < 0)
		conf_problem(l, 0, "%s %s: the default %s %s; set this key", header, k->name,
		             computed ? computed : k->fallback, str_text(&wrong));
	if (!origin->text)
		origin->text = source ? take_ptr(&source) : mem_strdup("default");
}

static void tell_missing(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	const struct conf_list *list = conf_sections[ref.section].list;
	const void *base = conf_base(&l->conf, ref);
	int line = list ? conf_item_line(list, base) : l->lines[ref.section];
	_cleanup(str) struct str place = {0}, title = {0}, allowed = {0};

	if (line > 0)
		str_appendf(&place, "%s:%d", l->conf.path, line);
	else
		conf_key_env(ref.section, k, list ? conf_item_name(list, base) : NULL, &place);
	conf_ref_title(&l->conf, ref, &title);
	conf_value_allowed(k, &allowed);
	if (conf_key_has_places(ref))
		str_appendf(&allowed, "; or %s_file or %s_command in its place", k->name, k->name);
	conf_problem(l, line, "%s: %s: is not set; allowed: %s", str_text(&place), str_text(&title),
	             str_text(&allowed));
}

/* A key without a default has no value: an example stands for it, so that the other keys can be looked at. */
static void require(struct conf_loader *l, struct conf_ref ref)
{
	struct conf_origin *origin = conf_origin_of(&l->conf, ref);
	_cleanup(str) struct str ignored = {0};

	if (!origin->text && conf_is_set_elsewhere(&l->conf, ref)) {
		origin->text = mem_strdup("default");
		*(char **)((char *)conf_base(&l->conf, ref) + conf_keys[ref.key].offset) = mem_strdup("");
		return;
	}
	if (!origin->text) {
		tell_missing(l, ref);
		origin->text = mem_strdup("default");
		origin->wrong = true;
	}
	conf_value_parse(&conf_keys[ref.key], conf_keys[ref.key].example, conf_base(&l->conf, ref), &ignored);
}

static void set_missing(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_origin *origin = conf_origin_of(&l->conf, ref);

	if (origin->text && !origin->wrong)
		return;
	/* What AWS says is of the one store: a further one must not get its keys, or its address. */
	if (!origin->text && ref.section != CONF_SECTION_NAMED_STORE && is_s3(&l->conf) &&
	    set_from_also(l, ref))
		return;
	if (conf_keys[ref.key].required)
		require(l, ref);
	else
		set_default(l, ref);
}

void conf_set_defaults(struct conf_loader *l)
{
	struct conf_ref ref;

	if (l->conf.job_count == 0)
		conf_add_section(l, CONF_SECTION_BACKUP, "full", 0);
	for (size_t n = 0; conf_place(&l->conf, n, &ref); n++)
		while (conf_next_key(&ref))
			set_missing(l, ref);
}
