// SPDX-License-Identifier: Apache-2.0
/* What makers say, and to whom; and what time it is for them. */
#include <keepfs/make.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

#include <stdarg.h>

int64_t make_now_us(const struct make_context *ctx)
{
	return ctx->now_us ? ctx->now_us() : clock_now_us();
}

void make_say(const struct make_order *order, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	if (!order->log)
		return;
	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	order->log(order->log_arg, str_text(&line));
}

void make_warn(const struct make_order *order, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	make_say(order, "warning: %s", str_text(&line));
	if (order->warn)
		order->warn(order->log_arg, str_text(&line));
}

void make_found(const struct make_findings *findings, bool ok, const char *name, const char *fmt, ...)
{
	_cleanup(str) struct str detail = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&detail, fmt, args);
	va_end(args);
	findings->add(findings->arg, ok, name, str_text(&detail));
}

struct make_target *make_targets_add(struct make_targets *targets)
{
	size_t count = targets->count;

	/* The room for them is a power of two. */
	if ((count & (count - 1)) == 0)
		targets->items = mem_resize(targets->items, count ? 2 * count : 1, sizeof(*targets->items));
	targets->items[count] = (struct make_target){0};
	targets->count++;
	return &targets->items[count];
}

void make_targets_finish(struct make_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		free(targets->items[i].name);
		free(targets->items[i].label);
		free(targets->items[i].directory);
		free(targets->items[i].stem);
		free(targets->items[i].problem);
	}
	free(targets->items);
	*targets = (struct make_targets){0};
}

char *make_directory_of(const struct conf_job *job, const char *below)
{
	const char *root = tree_roots[0].name;

	return below ? mem_printf("%s/%s/%s", root, job->name, below) : mem_printf("%s/%s", root, job->name);
}
