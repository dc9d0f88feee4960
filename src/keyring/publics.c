// SPDX-License-Identifier: Apache-2.0
/* Public keys in files. They are no secrets, so nobody asks whose the files are. */
#include <keepfs/keyring/signing.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#define PUBLICS_MAX_BYTES ((size_t)1 << 20)
#define END               "-----END PUBLIC KEY-----"

void signing_publics_finish(struct signing_publics *p)
{
	free(p->items);
	*p = (struct signing_publics){0};
}

static void add_public(struct signing_publics *p, const struct sign_public *key)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->items[i].id, key->id) == 0)
			return;
	p->items = mem_resize(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = *key;
}

/* One block after the other; what stands between them is nothing. */
static int take_publics(const char *source, const char *text, struct signing_publics *p, struct error *err)
{
	const char *at = text;
	int r;

	do {
		const char *end = strstr(at, END);
		size_t len = end ? (size_t)(end - at) + strlen(END) : strlen(at);
		_cleanup(free) char *block = mem_printf("%.*s\n", (int)len, at);
		struct sign_public key;

		r = sign_public_parse(source, block, strlen(block), &key, err);
		if (r == 0)
			add_public(p, &key);
		at += len;
	} while (r == 0 && strstr(at, "-----BEGIN "));
	return r;
}

static int read_publics_file(const char *what, const char *path, struct signing_publics *p, struct error *err)
{
	_cleanup(free) char *source = mem_printf("%s %s", what, path);
	_cleanup(str) struct str text = {0};
	int r = fd_read_file(path, PUBLICS_MAX_BYTES, &text);

	if (r < 0)
		return error_system(err, -r, "%s", source);
	return take_publics(source, str_text(&text), p, err);
}

static int only_pem(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_ends(entry->d_name, ".pem");
}

static int read_publics_directory(const char *what, const char *path, struct signing_publics *p,
                                  struct error *err)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, only_pem, alphasort), r = 0;

	if (count < 0)
		return error_system(err, errno, "%s %s", what, path);
	if (count == 0)
		r = error_set(err, ERROR_USAGE, ENOENT, "%s %s: there is no file of the form NAME.pem in it",
		              what, path);
	for (int i = 0; i < count; i++) {
		_cleanup(free) char *file = mem_printf("%s/%s", path, entries[i]->d_name);

		if (r == 0)
			r = read_publics_file(what, file, p, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int signing_read_publics(const char *what, const char *path, struct signing_publics *p, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_system(err, errno, "%s %s", what, path);
	return S_ISDIR(st.st_mode) ? read_publics_directory(what, path, p, err)
	                           : read_publics_file(what, path, p, err);
}
