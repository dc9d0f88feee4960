// SPDX-License-Identifier: Apache-2.0
/* The items of named sections, by what the table says of their list: where in struct conf it is, and where in
 * an item its name, line and kind are. */
#include <keepfs/base/mem.h>

#include "load.h"

#include <string.h>

static char **name_slot(const struct conf_list *list, const void *item)
{
	return (char **)((char *)item + list->name);
}

/* memcpy, as each list has a pointer of a type of its own. */
static void *first_item(const struct conf *c, const struct conf_list *list)
{
	void *first;

	memcpy(&first, (const char *)c + list->items, sizeof(first));
	return first;
}

static void set_items(struct conf *c, const struct conf_list *list, void *first, size_t count)
{
	memcpy((char *)c + list->items, &first, sizeof(first));
	*(size_t *)((char *)c + list->count) = count;
}

size_t conf_item_count(const struct conf *c, const struct conf_list *list)
{
	return *(const size_t *)((const char *)c + list->count);
}

void *conf_item(const struct conf *c, const struct conf_list *list, size_t item)
{
	return (char *)first_item(c, list) + item * list->item_bytes;
}

const char *conf_item_name(const struct conf_list *list, const void *item)
{
	return *name_slot(list, item);
}

int conf_item_line(const struct conf_list *list, const void *item)
{
	return *(const int *)((const char *)item + list->line);
}

struct conf_origin **conf_item_origins(const struct conf_list *list, void *item)
{
	return (struct conf_origin **)((char *)item + list->origins);
}

enum conf_section conf_list_section(const struct conf_list *list, int kind)
{
	enum conf_section s = 0;

	while (conf_sections[s].list != list || (kind >= 0 && conf_sections[s].kind != kind))
		s++;
	return s;
}

enum conf_section conf_item_section(const struct conf_list *list, const void *item)
{
	return conf_list_section(list, *(const int *)((const char *)item + list->kind));
}

size_t conf_item_add(struct conf *c, enum conf_section section, const char *name, int line)
{
	const struct conf_list *list = conf_sections[section].list;
	size_t index = conf_item_count(c, list);
	char *item;

	set_items(c, list, mem_resize(first_item(c, list), index + 1, list->item_bytes), index + 1);
	item = conf_item(c, list, index);
	memset(item, 0, list->item_bytes);
	*name_slot(list, item) = mem_strdup(name);
	*(int *)(item + list->line) = line;
	*(int *)(item + list->kind) = conf_sections[section].kind;
	return index;
}

void *conf_item_find(const struct conf *c, const struct conf_list *list, const char *name)
{
	for (size_t i = 0; i < conf_item_count(c, list); i++)
		if (strcmp(conf_item_name(list, conf_item(c, list, i)), name) == 0)
			return conf_item(c, list, i);
	return NULL;
}

size_t conf_item_index(const struct conf *c, const struct conf_list *list, const void *item)
{
	return (size_t)((const char *)item - (const char *)first_item(c, list)) / list->item_bytes;
}

void conf_items_free(struct conf *c, const struct conf_list *list)
{
	for (size_t i = 0; i < conf_item_count(c, list); i++)
		free(*name_slot(list, conf_item(c, list, i)));
	free(first_item(c, list));
	set_items(c, list, NULL, 0);
}
