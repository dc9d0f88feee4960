// SPDX-License-Identifier: Apache-2.0
/*
 * S3's XML, over expat.
 *
 * An answer comes from a server that may be broken, or is none at all but a proxy's page: so the depth, the
 * length of a name and of a text are limited, and a document type (and with it every entity of its own) ends
 * the parse. One walker keeps the path and the text of the current element; what the documents mean is in the
 * small functions that it calls at each element's end, which compare depth and parent, so that an <ID> within
 * <Owner> is never taken for another.
 */
#include <keepfs/codec/s3xml.h>

#include <errno.h>
#include <expat.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  12
#define NAME_BYTES 48
#define TEXT_MAX   ((size_t)64 << 10)

struct walk {
	XML_Parser parser;
	char names[DEPTH_MAX][NAME_BYTES]; /* of the open elements: [0] is the root */
	unsigned depth;
	struct str text; /* of the innermost element, since the last tag */
	const char *problem;
	/* at the end of each element: @depth 1 is the root, @parent "" for it */
	void (*end)(struct walk *w, unsigned depth, const char *parent, const char *name, const char *text);
	void *arg;
};

static void refuse_answer(struct walk *w, const char *problem)
{
	if (!w->problem)
		w->problem = problem;
	XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct walk *w = arg;

	(void)attributes;
	if (w->depth == DEPTH_MAX) {
		refuse_answer(w, "elements are nested too deeply");
		return;
	}
	if (strlen(name) >= NAME_BYTES) {
		refuse_answer(w, "an element's name is too long");
		return;
	}
	str_copy(w->names[w->depth++], NAME_BYTES, name);
	str_clear(&w->text);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct walk *w = arg;

	(void)name;
	if (w->problem || !w->depth)
		return;
	w->end(w, w->depth, w->depth > 1 ? w->names[w->depth - 2] : "", w->names[w->depth - 1],
	       str_text(&w->text));
	w->depth--;
	str_clear(&w->text);
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct walk *w = arg;

	if (w->problem)
		return;
	if (w->text.len + (size_t)len > TEXT_MAX)
		refuse_answer(w, "a text is too long");
	else
		str_append_bytes(&w->text, text, (size_t)len);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_internal_subset;
	refuse_answer(arg, "a document type is not allowed");
}

/* NULL when @xml is well-formed and @w had no objection, else what is wrong (static). */
static const char *walk_parse(struct walk *w, const char *xml, size_t len)
{
	enum XML_Status status;
	const char *problem = NULL;

	/* Servers that keep a slow answer alive send blanks first, which may not stand before an XML
	 * declaration. */
	while (len && strchr(" \t\r\n", *xml) && *xml) {
		xml++;
		len--;
	}
	if (len > INT_MAX)
		return "the document is too long";
	w->parser = XML_ParserCreate(NULL);
	if (!w->parser)
		return "out of memory";
	XML_SetUserData(w->parser, w);
	XML_SetElementHandler(w->parser, on_start, on_end);
	XML_SetCharacterDataHandler(w->parser, on_text);
	XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
	status = XML_Parse(w->parser, xml, (int)len, XML_TRUE);
	if (w->problem)
		problem = w->problem;
	else if (status != XML_STATUS_OK)
		problem = XML_ErrorString(XML_GetErrorCode(w->parser));
	XML_ParserFree(w->parser);
	str_finish(&w->text);
	return problem;
}

static int parse_error(struct error *err, const char *what, const char *problem)
{
	int r = error_set(err, ERROR_UNAVAILABLE, EPROTO, "the S3 server's answer is not a valid %s: %s",
	                  what, problem);

	if (err)
		err->retry = true;
	return r;
}

struct error_walk {
	struct s3xml_error *out;
	bool is_error;
};

/* S3's <Error> has them all; in STS's <ErrorResponse> they are in an <Error> of its own, but for the request's id. */
static bool is_error_field(const struct walk *w, unsigned depth, const char *parent, const char *name)
{
	if (str_equal(w->names[0], "Error"))
		return depth == 2;
	if (!str_equal(w->names[0], "ErrorResponse"))
		return false;
	return depth == 3 ? str_equal(parent, "Error") : depth == 2 && str_equal(name, "RequestId");
}

static void error_end(struct walk *w, unsigned depth, const char *parent, const char *name, const char *text)
{
	struct error_walk *e = w->arg;
	const struct {
		const char *name;
		char *to;
		size_t bytes;
	} fields[] = {
	        {"Code", e->out->code, sizeof(e->out->code)},
	        {"Message", e->out->message, sizeof(e->out->message)},
	        {"RequestId", e->out->request_id, sizeof(e->out->request_id)},
	        {"Region", e->out->region, sizeof(e->out->region)},
	        {"Endpoint", e->out->endpoint, sizeof(e->out->endpoint)},
	        {"ServerTime", e->out->server_time, sizeof(e->out->server_time)},
	        {"StorageClass", e->out->storage_class, sizeof(e->out->storage_class)},
	};

	if (depth == 1)
		e->is_error = str_equal(name, "Error") || str_equal(name, "ErrorResponse");
	if (!is_error_field(w, depth, parent, name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (str_equal(name, fields[i].name))
			str_copy(fields[i].to, fields[i].bytes, text);
}

bool s3xml_parse_error(const char *xml, size_t len, struct s3xml_error *ret)
{
	struct s3xml_error found = {0};
	struct error_walk e = {.out = &found};
	struct walk w = {.end = error_end, .arg = &e};

	*ret = (struct s3xml_error){0};
	if (walk_parse(&w, xml, len) || !e.is_error)
		return false;
	*ret = found;
	return true;
}

struct list_walk {
	struct s3xml_list *list;
	bool is_list;
	bool url_encoded; /* <EncodingType>url</EncodingType>, which servers send before the entries */
	char *key;
	char *etag;
	char *upload_id;
	char *storage_class;
	int64_t modified_us;
	uint64_t bytes;
	bool has_bytes;
};

static void list_walk_clear(struct list_walk *l)
{
	free(l->key);
	free(l->etag);
	free(l->upload_id);
	free(l->storage_class);
	l->key = l->etag = l->upload_id = l->storage_class = NULL;
	l->modified_us = 0;
	l->has_bytes = false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A key or marker, decoded when the server said that it encodes them; NULL when it is no such text. */
static char *key_text(const struct list_walk *l, const char *text)
{
	_cleanup(free) char *decoded = mem_strdup(text);
	char *to = decoded;

	if (!l->url_encoded)
		return take_ptr(&decoded);
	for (; *text; text++) {
		if (*text == '%') {
			int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || high + low == 0)
				return NULL;
			*to++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*to++ = *text == '+' ? ' ' : *text;
		}
	}
	*to = '\0';
	return take_ptr(&decoded);
}

static void set_object_key(struct walk *w, char **slot, const char *text)
{
	struct list_walk *l = w->arg;

	free(*slot);
	*slot = key_text(l, text);
	if (!*slot)
		refuse_answer(w, "a key is wrongly encoded");
}

static void entry_field(struct walk *w, struct list_walk *l, const char *name, const char *text)
{
	char *end;

	if (str_equal(name, "Key")) {
		set_object_key(w, &l->key, text);
	} else if (str_equal(name, "ETag")) {
		mem_replace_string(&l->etag, text);
	} else if (str_equal(name, "UploadId")) {
		mem_replace_string(&l->upload_id, text);
	} else if (str_equal(name, "StorageClass")) {
		mem_replace_string(&l->storage_class, text);
	} else if (str_equal(name, "LastModified")) {
		if (clock_parse_iso(text, &l->modified_us) < 0)
			l->modified_us = 0;
	} else if (str_equal(name, "Size")) {
		errno = 0;
		l->bytes = strtoull(text, &end, 10);
		l->has_bytes = *text >= '0' && *text <= '9' && !*end && !errno;
		if (!l->has_bytes)
			refuse_answer(w, "a size is not a number");
	}
}

static void top_field(struct walk *w, struct list_walk *l, const char *name, const char *text)
{
	struct s3xml_list *list = l->list;

	if (str_equal(name, "IsTruncated"))
		list->truncated = str_equal(text, "true");
	else if (str_equal(name, "EncodingType"))
		l->url_encoded = str_equal(text, "url");
	else if (str_equal(name, "NextContinuationToken") && *text)
		mem_replace_string(&list->next_token, text);
	else if (str_equal(name, "NextKeyMarker") && *text)
		set_object_key(w, &list->next_key_marker, text);
	else if (str_equal(name, "NextUploadIdMarker") && *text)
		mem_replace_string(&list->next_upload_marker, text);
}

static void tell_listed_object(const struct list_walk *l)
{
	const struct s3xml_list *list = l->list;
	const struct s3xml_object o = {.key = l->key,
	                               .etag = str_or_empty(l->etag),
	                               .bytes = l->bytes,
	                               .modified_us = l->modified_us,
	                               .storage_class = str_or_empty(l->storage_class)};

	if (list->object)
		list->object(list->arg, o.key, o.bytes, o.etag);
	if (list->described)
		list->described(list->arg, &o);
}

static void end_entry(struct walk *w, struct list_walk *l, bool is_object)
{
	struct s3xml_list *list = l->list;

	if (!l->key || !*l->key) {
		refuse_answer(w, "an entry has no key");
	} else if (is_object) {
		if (!l->has_bytes)
			refuse_answer(w, "an object has no size");
		else
			tell_listed_object(l);
	} else {
		if (!l->upload_id || !*l->upload_id)
			refuse_answer(w, "an upload has no id");
		else if (list->upload)
			list->upload(list->arg, l->key, l->upload_id);
	}
	list_walk_clear(l);
}

static void list_end(struct walk *w, unsigned depth, const char *parent, const char *name, const char *text)
{
	struct list_walk *l = w->arg;
	bool is_object = str_equal(depth == 3 ? parent : name, "Contents");
	bool is_upload = str_equal(depth == 3 ? parent : name, "Upload");

	if (depth == 3 && (is_object || is_upload))
		entry_field(w, l, name, text);
	else if (depth == 2 && (is_object || is_upload))
		end_entry(w, l, is_object);
	else if (depth == 2)
		top_field(w, l, name, text);
	else if (depth == 1)
		l->is_list =
		        str_equal(name, "ListBucketResult") || str_equal(name, "ListMultipartUploadsResult");
}

int s3xml_parse_list(const char *xml, size_t len, struct s3xml_list *list, struct error *err)
{
	struct list_walk l = {.list = list};
	struct walk w = {.end = list_end, .arg = &l};
	const char *problem = walk_parse(&w, xml, len);

	list_walk_clear(&l);
	if (!problem && !l.is_list)
		problem = "it is another document";
	return problem ? parse_error(err, "list", problem) : 0;
}

struct versions_walk {
	struct s3xml_versions *list;
	bool is_list;
	char *key, *id;
};

static void end_version(struct walk *w, struct versions_walk *v, bool is_marker)
{
	if (!v->key || !*v->key || !v->id || !*v->id)
		refuse_answer(w, "a version has no key or no id");
	else
		v->list->version(v->list->arg, v->key, v->id, is_marker);
	free(take_ptr(&v->key));
	free(take_ptr(&v->id));
}

static void versions_end(struct walk *w, unsigned depth, const char *parent, const char *name,
                         const char *text)
{
	struct versions_walk *v = w->arg;
	const char *entry = depth == 3 ? parent : name;
	bool is_marker = str_equal(entry, "DeleteMarker");
	bool is_entry = is_marker || str_equal(entry, "Version");

	if (depth == 3 && is_entry && str_equal(name, "Key"))
		mem_replace_string(&v->key, text);
	else if (depth == 3 && is_entry && str_equal(name, "VersionId"))
		mem_replace_string(&v->id, text);
	else if (depth == 2 && is_entry)
		end_version(w, v, is_marker);
	else if (depth == 1)
		v->is_list = str_equal(name, "ListVersionsResult");
}

int s3xml_parse_versions(const char *xml, size_t len, struct s3xml_versions *list, struct error *err)
{
	struct versions_walk v = {.list = list};
	struct walk w = {.end = versions_end, .arg = &v};
	const char *problem = walk_parse(&w, xml, len);

	free(v.key);
	free(v.id);
	if (!problem && !v.is_list)
		problem = "it is another document";
	return problem ? parse_error(err, "list of versions", problem) : 0;
}

struct lock_walk {
	struct s3xml_lock *out;
	bool is_known;
};

static int64_t parse_period(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return errno || *end || n < 0 || n > 100000 ? 0 : n;
}

/* Each of these names means one thing, wherever it stands. */
static void lock_end(struct walk *w, unsigned depth, const char *parent, const char *name, const char *text)
{
	static const char *const roots[] = {"Retention", "LegalHold", "ObjectLockConfiguration",
	                                    "VersioningConfiguration"};
	struct lock_walk *l = w->arg;
	const struct {
		const char *name;
		char *to;
		size_t bytes;
	} fields[] = {
	        {"Mode", l->out->mode, sizeof(l->out->mode)},
	        {"RetainUntilDate", l->out->until, sizeof(l->out->until)},
	        {"Status", l->out->status, sizeof(l->out->status)},
	        {"ObjectLockEnabled", l->out->enabled, sizeof(l->out->enabled)},
	};

	(void)parent;
	for (size_t i = 0; depth == 1 && i < ARRAY_SIZE(roots); i++)
		l->is_known = l->is_known || str_equal(name, roots[i]);
	for (size_t i = 0; depth > 1 && i < ARRAY_SIZE(fields); i++)
		if (str_equal(name, fields[i].name))
			str_copy(fields[i].to, fields[i].bytes, text);
	if (depth > 1 && str_equal(name, "Days"))
		l->out->days = parse_period(text);
	if (depth > 1 && str_equal(name, "Years"))
		l->out->years = parse_period(text);
}

int s3xml_parse_lock(const char *xml, size_t len, struct s3xml_lock *ret, struct error *err)
{
	struct s3xml_lock found = {0};
	struct lock_walk l = {.out = &found};
	struct walk w = {.end = lock_end, .arg = &l};
	const char *problem = walk_parse(&w, xml, len);

	if (!problem && !l.is_known)
		problem = "it is another document";
	if (problem)
		return parse_error(err, "lock", problem);
	*ret = found;
	return 0;
}

struct field_walk { /* one element below a root */
	const char *root;
	const char *field;
	char *value;
	bool is_root;
};

static void field_end(struct walk *w, unsigned depth, const char *parent, const char *name, const char *text)
{
	struct field_walk *f = w->arg;

	(void)parent;
	if (depth == 2 && str_equal(name, f->field))
		mem_replace_string(&f->value, text);
	else if (depth == 1)
		f->is_root = str_equal(name, f->root);
}

/* The field's text, "" when it is absent; NULL with a problem when @xml is no such document. */
static char *parse_field(const char *xml, size_t len, const char *root, const char *field,
                         const char **ret_problem)
{
	struct field_walk f = {.root = root, .field = field};
	struct walk w = {.end = field_end, .arg = &f};

	*ret_problem = walk_parse(&w, xml, len);
	if (!*ret_problem && !f.is_root)
		*ret_problem = "it is another document";
	if (!*ret_problem)
		return f.value ? f.value : mem_strdup("");
	free(f.value);
	return NULL;
}

char *s3xml_parse_upload_id(const char *xml, size_t len, struct error *err)
{
	const char *problem;
	_cleanup(free) char *id =
	        parse_field(xml, len, "InitiateMultipartUploadResult", "UploadId", &problem);

	if (id && *id)
		return take_ptr(&id);
	parse_error(err, "InitiateMultipartUploadResult", id ? "it has no UploadId" : problem);
	return NULL;
}

char *s3xml_parse_complete_etag(const char *xml, size_t len)
{
	const char *problem;

	return parse_field(xml, len, "CompleteMultipartUploadResult", "ETag", &problem);
}

char *s3xml_parse_copied_etag(const char *xml, size_t len)
{
	const char *problem;
	_cleanup(free) char *etag = parse_field(xml, len, "CopyPartResult", "ETag", &problem);

	return etag && *etag ? take_ptr(&etag) : NULL;
}

struct credentials_walk {
	struct s3xml_credentials *out;
	bool is_answer;
};

static void credentials_end(struct walk *w, unsigned depth, const char *parent, const char *name,
                            const char *text)
{
	struct credentials_walk *c = w->arg;
	const struct {
		const char *name;
		char **to;
	} fields[] = {
	        {"AccessKeyId", &c->out->access_key},
	        {"SecretAccessKey", &c->out->secret_key},
	        {"SessionToken", &c->out->session_token},
	        {"Expiration", &c->out->expiration},
	};

	if (depth == 1)
		c->is_answer = str_equal(name, "AssumeRoleResponse") ||
		               str_equal(name, "AssumeRoleWithWebIdentityResponse");
	if (depth != 4 || !str_equal(parent, "Credentials"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!str_equal(name, fields[i].name))
			continue;
		mem_free_secret(*fields[i].to);
		*fields[i].to = mem_strdup(text);
	}
	if (w->text.data)
		explicit_bzero(w->text.data, w->text.len);
}

int s3xml_parse_credentials(const char *xml, size_t len, struct s3xml_credentials *ret, struct error *err)
{
	struct s3xml_credentials found = {0};
	struct credentials_walk c = {.out = &found};
	struct walk w = {.end = credentials_end, .arg = &c};
	const char *problem = walk_parse(&w, xml, len);
	int r;

	if (!problem && !c.is_answer)
		problem = "it is another document";
	if (!problem && (!*str_or_empty(found.access_key) || !*str_or_empty(found.secret_key)))
		problem = "it has no AccessKeyId and SecretAccessKey";
	if (!problem) {
		*ret = found;
		return 0;
	}
	s3xml_credentials_finish(&found);
	r = error_set(err, ERROR_UNAVAILABLE, EPROTO, "the answer of STS holds no credentials: %s", problem);
	if (err)
		err->retry = true;
	return r;
}

void s3xml_credentials_finish(struct s3xml_credentials *c)
{
	mem_free_secret(c->access_key);
	mem_free_secret(c->secret_key);
	mem_free_secret(c->session_token);
	free(c->expiration);
	*c = (struct s3xml_credentials){0};
}

static void append_xml_text(const char *text, struct str *out)
{
	for (; *text; text++) {
		if (*text == '&')
			str_append(out, "&amp;");
		else if (*text == '<')
			str_append(out, "&lt;");
		else if (*text == '>')
			str_append(out, "&gt;");
		else if (*text == '"')
			str_append(out, "&quot;");
		else
			str_append_char(out, *text);
	}
}

void s3xml_write_complete(const struct s3xml_part *parts, size_t count, struct str *out)
{
	str_append(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < count; i++) {
		str_appendf(out, "<Part><PartNumber>%u</PartNumber><ETag>", parts[i].number);
		append_xml_text(parts[i].etag, out);
		str_append(out, "</ETag></Part>");
	}
	str_append(out, "</CompleteMultipartUpload>");
}
