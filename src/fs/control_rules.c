// SPDX-License-Identifier: Apache-2.0
/* See control_rules.h. */
#include "control_rules.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BYTES 65536

struct control_rule {
	char *pattern; /* of names of files; NULL: of who confirms */
	bool writes;
	bool is_group;
	uint32_t id;
};

struct control_rules {
	struct control_rule *items;
	size_t count;
};

static bool find_control_user(const char *name, uint32_t *ret)
{
	_cleanup(free) char *buf = mem_alloc(LOOKUP_BYTES);
	struct passwd entry, *found = NULL;

	if (getpwnam_r(name, &entry, buf, LOOKUP_BYTES, &found) || !found)
		return false;
	*ret = found->pw_uid;
	return true;
}

static bool find_control_group(const char *name, uint32_t *ret)
{
	_cleanup(free) char *buf = mem_alloc(LOOKUP_BYTES);
	struct group entry, *found = NULL;

	if (getgrnam_r(name, &entry, buf, LOOKUP_BYTES, &found) || !found)
		return false;
	*ret = found->gr_gid;
	return true;
}

/* A name that is a number and of nobody is that number. */
static bool find_control_id(const char *name, bool is_group, uint32_t *ret)
{
	char *end;
	unsigned long number;

	if (is_group ? find_control_group(name, ret) : find_control_user(name, ret))
		return true;
	if (!*name || strspn(name, "0123456789") != strlen(name))
		return false;
	number = strtoul(name, &end, 10);
	*ret = (uint32_t)number;
	return number < UINT32_MAX;
}

static void add_control_rule(struct control_rules *c, char *pattern, bool writes, const char *person)
{
	struct control_rule rule = {.pattern = pattern, .writes = writes, .is_group = *person == '@'};

	if (!find_control_id(person + rule.is_group, rule.is_group, &rule.id)) {
		log_warning("[control] names the %s %s, which there is not: it gives nobody anything",
		            rule.is_group ? "group" : "user", person + rule.is_group);
		free(pattern);
		return;
	}
	c->items = mem_resize(c->items, c->count + 1, sizeof(*c->items));
	c->items[c->count++] = rule;
}

static void add_control_rules(struct control_rules *c, char *const *words, bool writes)
{
	for (size_t i = 0; words && words[i]; i++) {
		size_t len = strcspn(words[i], ":");

		add_control_rule(c, mem_printf("%.*s", (int)len, words[i]), writes, words[i] + len + 1);
	}
}

struct control_rules *control_rules_new(const struct conf_control *conf)
{
	struct control_rules *c = mem_alloc(sizeof(*c));

	add_control_rules(c, conf->write, true);
	add_control_rules(c, conf->read, false);
	for (size_t i = 0; conf->confirm_by && conf->confirm_by[i]; i++) {
		add_control_rule(c, NULL, true, conf->confirm_by[i]);
		add_control_rule(c, mem_strdup("confirm"), true, conf->confirm_by[i]);
	}
	return c;
}

struct control_rules *control_rules_free(struct control_rules *c)
{
	for (size_t i = 0; c && i < c->count; i++)
		free(c->items[i].pattern);
	if (c)
		free(c->items);
	free(c);
	return NULL;
}

static bool is_of_file(const struct control_rule *rule, const char *name)
{
	return rule->pattern && fnmatch(rule->pattern, name, 0) == 0;
}

static bool is_rule_about(const struct control_rule *rule, const struct rights *who)
{
	if (!rule->is_group)
		return rule->id == who->uid;
	if (rule->id == who->gid)
		return true;
	for (size_t i = 0; i < who->group_count; i++)
		if (rule->id == who->groups[i])
			return true;
	return false;
}

bool control_rules_any(const struct control_rules *c)
{
	return c->count > 0;
}

bool control_rules_name(const struct control_rules *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (is_of_file(&c->items[i], name))
			return true;
	return false;
}

bool control_rules_let(const struct control_rules *c, const struct rights *who, const char *name, bool writes)
{
	for (size_t i = 0; i < c->count; i++)
		if ((c->items[i].writes || !writes) && is_of_file(&c->items[i], name) &&
		    is_rule_about(&c->items[i], who))
			return true;
	return false;
}

bool control_rules_know(const struct control_rules *c, const struct rights *who)
{
	for (size_t i = 0; i < c->count; i++)
		if (is_rule_about(&c->items[i], who))
			return true;
	return false;
}

bool control_rules_confirm(const struct control_rules *c, const struct rights *who)
{
	for (size_t i = 0; i < c->count; i++)
		if (!c->items[i].pattern && is_rule_about(&c->items[i], who))
			return true;
	return false;
}

bool control_rules_confirm_by(const struct control_rules *c, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct rights who = {.uid = ctx->uid, .gid = ctx->gid};
	bool anybody = false;
	int count;

	for (size_t i = 0; !anybody && i < c->count; i++)
		anybody = !c->items[i].pattern;
	if (!anybody)
		return false;
	count = fuse_req_getgroups(req, RIGHTS_GROUPS, who.groups);
	if (count > 0)
		who.group_count = count < RIGHTS_GROUPS ? (size_t)count : RIGHTS_GROUPS;
	return control_rules_confirm(c, &who);
}
