// SPDX-License-Identifier: Apache-2.0
/* The object state/lease.json, as text and in memory. */
#include <keepfs/lease.h>

#include <keepfs/codec/json.h>

#include <errno.h>
#include <inttypes.h>

#define LEASE_VERSION 1

void lease_encode(const struct lease_text *t, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_int(j, "version", LEASE_VERSION);
	json_set_string(j, "host", t->host);
	json_set_int(j, "pid", t->pid);
	json_set_string(j, "process", t->process);
	json_set_string(j, "instance", t->instance);
	json_set_int(j, "fence", (int64_t)t->fence);
	json_set_int(j, "length_ms", t->length_ms);
	json_set_time(j, "since", t->since_us);
	json_set_time(j, "until", t->until_us);
	json_set_bool(j, "given_back", t->given_back);
	json_write(j, 0, out);
	str_append_char(out, '\n');
}

static int refuse_lease(const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: %s", LEASE_KEY, what);
}

static int take_lease_version(const struct json *j, struct error *err)
{
	int64_t version;

	if (!json_get_int(j, "version", &version) || version < 1)
		return refuse_lease("\"version\" is missing or no number", err);
	if (version > LEASE_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "%s has format version %" PRId64
		                 ", this keepfs knows versions up to %d: use a newer keepfs",
		                 LEASE_KEY, version, LEASE_VERSION);
	return 0;
}

static int take_numbers(const struct json *j, struct lease_text *t, struct error *err)
{
	int64_t fence;

	if (!json_get_int(j, "fence", &fence) || fence < 1 || fence >= INT64_MAX)
		return refuse_lease("\"fence\" is missing or no number of a lease", err);
	if (!json_get_int(j, "length_ms", &t->length_ms) || t->length_ms < 1 || t->length_ms > LEASE_MS_MAX)
		return refuse_lease("\"length_ms\" is missing or no length of a lease", err);
	t->fence = (uint64_t)fence;
	json_get_int(j, "pid", &t->pid);
	return 0;
}

static void take_lease_text(const struct json *j, const char *key, char *buf, size_t buf_bytes)
{
	str_cut(buf, buf_bytes, str_or_empty(json_get_string(j, key)));
}

int lease_decode(const char *text, size_t len, struct lease_text *ret, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(text, len, err);
	struct lease_text t = {0};
	int r;

	if (!j || !json_is_object_value(j))
		return refuse_lease("it is no JSON object", err);
	r = take_lease_version(j, err);
	if (r == 0)
		r = take_numbers(j, &t, err);
	if (r < 0)
		return r;
	take_lease_text(j, "host", t.host, sizeof(t.host));
	take_lease_text(j, "process", t.process, sizeof(t.process));
	take_lease_text(j, "instance", t.instance, sizeof(t.instance));
	json_get_time(j, "since", &t.since_us);
	json_get_time(j, "until", &t.until_us);
	json_get_bool(j, "given_back", &t.given_back);
	if (!t.instance[0])
		return refuse_lease("\"instance\" is missing or no text", err);
	*ret = t;
	return 0;
}
