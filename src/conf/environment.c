// SPDX-License-Identifier: Apache-2.0
/* KEEPFS_<KEY>, KEEPFS_STORE_<KEY>, KEEPFS_BACKUP_<NAME>_<KEY>, as the table of sections says: any key from the
 * environment, which wins over the file. A variable that begins with KEEPFS_ and means nothing is an error,
 * as an unknown key is: a mistyped name must not be silently ignored. What is left alone are variables that
 * nobody typed: Kubernetes tells each container of the services of its namespace, and one of these may be
 * named keepfs, or keepfs-store. */
#include "load.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

extern char **environ;

/* What means something without being a key: also the facts that a hook or the command of a receiver gets, as these may call keepfs; and what
 * a compose file's .env, which goes into the environment of its containers, says of the image. */
static bool is_other(const char *name)
{
	static const char *const others[] = {
	        "KEEPFS_CONFIG",    "KEEPFS_MOUNT",        "KEEPFS_JOB",        "KEEPFS_RUN",
	        "KEEPFS_DATABASES", "KEEPFS_TRIGGERED_BY", "KEEPFS_NOTE",       "KEEPFS_STORE",
	        "KEEPFS_STATE",     "KEEPFS_ERROR",        "KEEPFS_SIZE_BYTES", "KEEPFS_ARTIFACTS",
	        "KEEPFS_SHA256",    "KEEPFS_STARTED",      "KEEPFS_FINISHED",   "KEEPFS_VERSION",
	        "KEEPFS_IMAGE",     "KEEPFS_TAG",          "KEEPFS_EVENT",      "KEEPFS_LEVEL",
	        "KEEPFS_SUBJECT",   "KEEPFS_TEXT",         "KEEPFS_DATABASE",   "KEEPFS_SINCE",
	        "KEEPFS_COUNT",     "KEEPFS_HOST",         "KEEPFS_CLASS",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_equal(name, others[i]))
			return true;
	return str_starts(name, "KEEPFS_TEST_");
}

static bool is_number(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") >= len;
}

static bool is_whole_number(const char *text)
{
	return is_number(text, strlen(text));
}

static bool is_protocol(const char *text, const char *behind)
{
	static const char *const protocols[] = {"tcp", "udp", "sctp"};

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		size_t len = strlen(protocols[i]);

		if (strncasecmp(text, protocols[i], len) == 0 && str_equal(text + len, behind))
			return true;
	}
	return false;
}

/* "tcp://10.0.0.1:9100" */
static bool is_service_address(const char *value)
{
	const char *rest = strstr(value, "://");
	_cleanup(free) char *scheme = rest ? mem_printf("%.*s", (int)(rest - value), value) : NULL;

	return scheme && is_protocol(scheme, "");
}

/* What stands behind <SERVICE>_PORT: "", or "_9100_TCP" with nothing, _PROTO, _PORT or _ADDR behind it. */
static bool is_port_variable(const char *tail, const char *value)
{
	size_t digits;

	if (!*tail)
		return is_service_address(value);
	if (*tail++ != '_')
		return false;
	digits = strspn(tail, "0123456789");
	if (!is_number(tail, digits) || tail[digits] != '_')
		return false;
	tail += digits + 1;
	return (is_protocol(tail, "") && is_service_address(value)) ||
	       (is_protocol(tail, "_PROTO") && is_protocol(value, "")) ||
	       (is_protocol(tail, "_PORT") && is_whole_number(value)) || is_protocol(tail, "_ADDR");
}

/*
 * Is this a variable by which Kubernetes (or, of old, a link between containers) tells of a service?
 * <SERVICE>_SERVICE_HOST, <SERVICE>_SERVICE_PORT[_<NAME>], <SERVICE>_PORT…, with values to match.
 * kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
 */
static bool is_of_service(const char *name, const char *value)
{
	for (const char *p = strchr(name, '_'); p; p = strchr(p + 1, '_')) {
		if (str_equal(p, "_SERVICE_HOST"))
			return true;
		if (str_starts(p, "_SERVICE_PORT") && is_whole_number(value) &&
		    (p[strlen("_SERVICE_PORT")] == '\0' || p[strlen("_SERVICE_PORT")] == '_'))
			return true;
		if (str_starts(p, "_PORT") && is_port_variable(p + strlen("_PORT"), value))
			return true;
	}
	return false;
}

static int compare_variables(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all KEEPFS_ variables that could be keys, sorted, so that problems come in a fixed order. */
static char **list_names(size_t *ret_count)
{
	char **names = NULL;
	size_t count = 0;

	for (char **e = environ; e && *e; e++) {
		char *name;

		if (!str_starts(*e, "KEEPFS_"))
			continue;
		name = mem_printf("%.*s", (int)strcspn(*e, "="), *e);
		if (is_other(name)) {
			free(name);
			continue;
		}
		names = mem_resize(names, count + 1, sizeof(*names));
		names[count++] = name;
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_variables);
	*ret_count = count;
	return names;
}

/* The key of a section without a name whose variable this is. */
static bool find_single(const char *name, struct conf_ref *ret)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (!conf_section_is_named(s) && conf_next_key(&ref)) {
			_cleanup(str) struct str env = {0};

			conf_key_env(s, &conf_keys[ref.key], NULL, &env);
			if (strcmp(str_text(&env), name) != 0)
				continue;
			*ret = ref;
			return true;
		}
	}
	return false;
}

/* How many sections @section @name (as in a variable) can mean; *@ret_item is the last of them. */
static size_t match_items(const struct conf *c, enum conf_section section, const char *name, size_t *ret_item)
{
	const struct conf_list *list = conf_sections[section].list;
	size_t count = 0;

	for (size_t i = 0; i < conf_item_count(c, list); i++) {
		const void *item = conf_item(c, list, i);
		_cleanup(str) struct str word = {0};

		conf_env_word(&word, conf_item_name(list, item));
		if (conf_item_section(list, item) != section || strcmp(str_text(&word), name) != 0)
			continue;
		*ret_item = i;
		count++;
	}
	return count;
}

/* The <NAME> in a variable, when that can be one of the key @ref; else NULL. */
static char *item_in_variable(struct conf_ref ref, const char *name)
{
	_cleanup(free) char *prefix = mem_printf("KEEPFS_%s", conf_sections[ref.section].env);
	_cleanup(str) struct str env = {0};
	size_t len = strlen(name), prefix_len = strlen(prefix), tail_len;
	const char *tail;

	conf_key_env(ref.section, &conf_keys[ref.key], "", &env);
	tail = str_text(&env) + prefix_len; /* "_DATABASE" */
	tail_len = strlen(tail);
	if (!str_starts(name, prefix) || !str_ends(name, tail) || len <= prefix_len + tail_len)
		return NULL;
	return mem_printf("%.*s", (int)(len - tail_len - prefix_len), name + prefix_len);
}

struct named { /* what a variable of a named section can mean */
	struct conf_ref ref;
	char *item;     /* the <NAME> in it; NULL: it means nothing */
	bool known;     /* there is such a section */
	bool ambiguous; /* there are several */
};

static void cleanup_named(struct named *n)
{
	free(n->item);
}

/* Is the key @ref with @item a better reading of the variable? That of a section that is there is; else that of
 * the longer key. */
static void weigh(const struct conf *c, struct named *found, struct conf_ref ref, char **item)
{
	size_t ignored, len = strlen(conf_keys[ref.key].name);
	bool known = match_items(c, ref.section, *item, &ignored) > 0;

	found->ambiguous |= known && found->known;
	if (found->item && (known == found->known ? len < strlen(conf_keys[found->ref.key].name) : !known))
		return;
	found->ref = ref;
	found->known = known;
	free(found->item);
	found->item = take_ptr(item);
}

/*
 * The key whose variable for some named section this is
 *
 * KEEPFS_BACKUP_FULL_EXCLUDE_TABLES is exclude_tables of the job full, unless there is a job full_exclude,
 * and no job full.
 */
static void find_named(const struct conf *c, const char *name, struct named *found)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (conf_section_is_named(s) && conf_next_key(&ref)) {
			_cleanup(free) char *item = item_in_variable(ref, name);

			if (item)
				weigh(c, found, ref, &item);
		}
	}
}

/* Every variable that there is, for suggestions; heap, texts as well. */
static char **list_known(size_t *ret_count)
{
	char **known = mem_array(CONF_SECTION_COUNT * conf_key_count + 2, sizeof(*known));
	size_t count = 0;

	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (conf_next_key(&ref)) {
			struct str env = {0};

			conf_key_env(s, &conf_keys[ref.key], "<NAME>", &env);
			known[count++] = str_take(&env);
		}
	}
	known[count++] = mem_strdup("KEEPFS_CONFIG");
	known[count++] = mem_strdup("KEEPFS_MOUNT");
	*ret_count = count;
	return known;
}

static void unknown_variable(struct conf_loader *l, const char *name)
{
	size_t count;
	_cleanup(free) char **known = list_known(&count);
	const char *nearest = conf_nearest(name, (const char *const *)known, count);
	_cleanup(str) struct str hint = {0};

	if (nearest) {
		str_appendf(&hint, "did you mean %s?", nearest);
	} else {
		for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
			str_append(&hint, s > 0 ? ", " : "allowed: ");
			conf_variable_shape(s, &hint);
		}
		str_append(&hint, " with the keys of keepfs.conf(5)");
	}
	conf_problem(l, 0, "%s: this environment variable means nothing; %s", name, str_text(&hint));
	while (count > 0)
		free(known[--count]);
}

/* A section of this name that is there only because of the variable. */
static bool add_named(struct conf_loader *l, const char *variable, struct named *n)
{
	const struct conf_list *list = conf_sections[n->ref.section].list;
	_cleanup(str) struct str title = {0};
	const char *wrong;
	const void *same;

	for (char *p = n->item; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	wrong = list->name_wrong(n->item);
	same = conf_item_find(&l->conf, list, n->item);
	if (same)
		conf_section_title(conf_item_section(list, same), n->item, &title);
	if (wrong)
		conf_problem(l, 0, "%s: the %s's name %s %s", variable, list->item, n->item, wrong);
	else if (same)
		conf_problem(
		        l, 0,
		        "%s: there is %s already, and no two %ss of any kind may have the same name: give one of them another",
		        variable, str_text(&title), list->item);
	if (wrong || same)
		return false;
	n->ref.item = conf_add_section(l, n->ref.section, n->item, 0);
	return true;
}

static void set_named(struct conf_loader *l, const char *variable, struct named *n, const char *value)
{
	const struct conf_list *list = conf_sections[n->ref.section].list;
	size_t matches = match_items(&l->conf, n->ref.section, n->item, &n->ref.item);

	if (n->ambiguous || matches > 1)
		conf_problem(
		        l, 0,
		        "%s: this environment variable could mean more than one %s; allowed: %ss whose names differ in letters or digits, or this key in the file",
		        variable, list->item, list->item);
	else if (matches == 1 || add_named(l, variable, n))
		conf_set(l, n->ref, value, variable, 0, true);
}

/* The section that is there once at most, which may be there only because of the variable. */
static void set_only(struct conf_loader *l, const char *variable, struct conf_ref ref, const char *value)
{
	const struct conf_section_info *info = &conf_sections[ref.section];
	const void *same = conf_item_find(&l->conf, info->list, info->only);
	_cleanup(str) struct str other = {0};

	if (!same) {
		ref.item = conf_add_section(l, ref.section, info->only, 0);
		conf_set(l, ref, value, variable, 0, true);
		return;
	}
	if (conf_item_section(info->list, same) == ref.section) {
		ref.item = conf_item_index(&l->conf, info->list, same);
		conf_set(l, ref, value, variable, 0, true);
		return;
	}
	conf_section_title(conf_item_section(info->list, same), info->only, &other);
	conf_problem(
	        l, 0, "%s: there is %s already, and %s makes a %s named %s: give the other %s another name",
	        variable, str_text(&other), info->header, info->list->item, info->only, info->list->item);
}

static void read_variable(struct conf_loader *l, const char *name)
{
	_cleanup(named) struct named named = {0};
	const char *value = getenv(name);
	struct conf_ref ref;
	bool single = find_single(name, &ref);

	if (!single)
		find_named(&l->conf, name, &named);
	/* Before a section is made of it: KEEPFS_FILES_X_SERVICE_PORT_PATH may be a service's. */
	if (!single && !named.known && is_of_service(name, str_or_empty(value)))
		return;
	if (!single && !named.item)
		unknown_variable(l, name);
	else if (!value || !value[strspn(value, CONF_WHITE_SPACE)])
		return; /* an empty variable is as good as none: service managers make them */
	else if (single && conf_sections[ref.section].only)
		set_only(l, name, ref, value);
	else if (single)
		conf_set(l, ref, value, name, 0, true);
	else
		set_named(l, name, &named, value);
}

void conf_read_environment(struct conf_loader *l)
{
	size_t count;
	_cleanup(free) char **names = list_names(&count);

	for (size_t i = 0; i < count; i++) {
		read_variable(l, names[i]);
		free(names[i]);
	}
}

static bool is_credential(const char *name)
{
	static const char *const of_aws[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	                                     "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	                                     "AWS_CONTAINER_AUTHORIZATION_TOKEN"};
	struct conf_ref ref;

	for (size_t i = 0; i < ARRAY_SIZE(of_aws); i++)
		if (str_equal(name, of_aws[i]))
			return true;
	return find_single(name, &ref) &&
	       (conf_keys[ref.key].credential || conf_keys[ref.key].type == CONF_CONNECTION);
}

/* Of a named section: what may hold a password. */
static bool is_secret_of_item(const char *name)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (conf_section_is_named(s) && conf_next_key(&ref)) {
			_cleanup(free) char *item = item_in_variable(ref, name);

			if (item &&
			    (conf_keys[ref.key].type == CONF_CONNECTION || conf_keys[ref.key].credential))
				return true;
		}
	}
	return false;
}

bool conf_variable_is_private(const char *variable)
{
	_cleanup(free) char *name = mem_printf("%.*s", (int)strcspn(variable, "="), variable);

	return is_credential(name) || is_secret_of_item(name);
}
