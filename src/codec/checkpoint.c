// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/checkpoint.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

void checkpoint_finish(struct checkpoint *c)
{
	free(c->host);
	free(c->keepfs_version);
	free(c->previous_key);
	*c = (struct checkpoint){0};
}

static struct json *encode_audit(const struct audit_head *head)
{
	struct json *j = json_object_new();

	json_set_int(j, "number", head->number);
	json_set_string(j, "sha256", head->hash);
	return j;
}

static struct json *encode_end(const struct chain_place *end)
{
	struct json *j = json_object_new();

	json_set_string(j, "chain", end->id);
	json_set_int(j, "sequence", end->sequence);
	json_set_string(j, "hash", end->hash);
	return j;
}

static struct json *encode_previous(const struct checkpoint *c)
{
	struct json *j = json_object_new();

	json_set_string(j, "key", c->previous_key);
	json_set_string(j, "sha256", c->previous);
	return j;
}

void checkpoint_encode(const struct checkpoint *c, const struct sign_key *key, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();
	struct signature s;

	json_set_string(j, "format", "keepfs-checkpoint");
	json_set_int(j, "version", CHECKPOINT_VERSION);
	json_set_time(j, "at", c->at_us);
	json_set_string(j, "host", c->host);
	json_set_string(j, "keepfs", c->keepfs_version);
	json_set(j, "audit", encode_audit(&c->audit));
	if (c->end.sequence > 0)
		json_set(j, "end", encode_end(&c->end));
	if (c->previous_key)
		json_set(j, "previous", encode_previous(c));
	json_write_open(j, out);
	if (!key) {
		json_write_close(out);
		return;
	}
	str_append(out, ",\n");
	sign_make(key, out->data, out->len, &s);
	signature_append(out, &s, NULL);
}

static int refuse_checkpoint(const char *source, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: %s", source, what);
}

static bool take_hex(const struct json *j, const char *field, char ret[static SHA256_HEX_BYTES])
{
	const char *text = json_get_string(j, field);

	if (!text || strlen(text) != SHA256_HEX_BYTES - 1 ||
	    strspn(text, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
		return false;
	memcpy(ret, text, SHA256_HEX_BYTES);
	return true;
}

static bool take_audit_end(const struct json *j, struct audit_head *ret)
{
	return j && json_get_int(j, "number", &ret->number) && ret->number >= 0 &&
	       take_hex(j, "sha256", ret->hash);
}

static bool take_end(const struct json *j, struct chain_place *ret)
{
	const char *id = json_get_string(j, "chain");

	if (!id || strlen(id) >= sizeof(ret->id) || !json_get_int(j, "sequence", &ret->sequence) ||
	    ret->sequence <= 0)
		return false;
	str_copy(ret->id, sizeof(ret->id), id);
	return take_hex(j, "hash", ret->hash);
}

static bool take_previous(const struct json *j, struct checkpoint *ret)
{
	const char *key = json_get_string(j, "key");

	if (!key || !str_starts(key, CHECKPOINT_PREFIX))
		return false;
	ret->previous_key = mem_strdup(key);
	return take_hex(j, "sha256", ret->previous);
}

static int take_checkpoint_members(const char *source, const struct json *j, struct checkpoint *ret,
                                   struct error *err)
{
	const char *format = json_get_string(j, "format");
	int64_t version = 0;

	if (!format || strcmp(format, "keepfs-checkpoint") != 0 || !json_get_int(j, "version", &version) ||
	    version < 1)
		return refuse_checkpoint(source, "it is no checkpoint", err);
	if (version > CHECKPOINT_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "%s: a newer keepfs has written it (version %" PRId64 ")", source, version);
	ret->host = mem_strdup(json_get_string(j, "host"));
	ret->keepfs_version = mem_strdup(json_get_string(j, "keepfs"));
	if (!json_get_time(j, "at", &ret->at_us))
		return refuse_checkpoint(source, "\"at\" is no time", err);
	if (!take_audit_end(json_get(j, "audit"), &ret->audit))
		return refuse_checkpoint(source, "\"audit\" is wrong", err);
	if (json_get(j, "end") && !take_end(json_get(j, "end"), &ret->end))
		return refuse_checkpoint(source, "\"end\" is wrong", err);
	if (json_get(j, "previous") && !take_previous(json_get(j, "previous"), ret))
		return refuse_checkpoint(source, "\"previous\" is wrong", err);
	return 0;
}

int checkpoint_decode(const char *source, const char *json, size_t len, struct checkpoint *ret,
                      struct error *err)
{
	_cleanup(checkpoint) struct checkpoint c = {0};
	_cleanup(json) struct json *j = NULL;
	size_t signed_len = 0;
	int r = signature_find(json, len, &signed_len, &c.signature, NULL, err);

	j = r < 0 ? NULL : json_parse(json, len, err);
	if (!j) {
		error_prefix(err, "%s", source);
		return -EBADMSG;
	}
	r = take_checkpoint_members(source, j, &c, err);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct checkpoint){0};
	return 0;
}

bool checkpoint_is_signed_by(const struct checkpoint *c, const struct sign_public *key, const char *json,
                             size_t len)
{
	struct signature s;
	size_t signed_len;

	return c->signature.key[0] && strcmp(c->signature.key, key->id) == 0 &&
	       signature_find(json, len, &signed_len, &s, NULL, NULL) == 1 &&
	       sign_verify(key, json, signed_len, &s);
}

char *checkpoint_key(const struct checkpoint *c)
{
	char at[CLOCK_NAME_BYTES];

	return mem_printf(CHECKPOINT_PREFIX "%s-%012" PRId64 ".json", clock_format_name(c->at_us, at),
	                  c->audit.number);
}
