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

const struct conf *make_conf_ref(const struct make_context *ctx)
{
	return ctx->live ? conf_live_ref(ctx->live) : ctx->conf;
}

void make_conf_unref(const struct make_context *ctx, const struct conf *conf)
{
	if (ctx->live)
		conf_unref(conf);
}

void make_time(const struct make_context *ctx, struct artifact_time *ret)
{
	artifact_read_clock(ret);
	if (ctx->now_us)
		*ret = (struct artifact_time){.now_us = ctx->now_us()};
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
	if (order->warn)
		order->warn(order->log_arg, str_text(&line));
	else
		make_say(order, "warning: %s", str_text(&line));
}

void make_found(const struct make_findings *findings, bool ok, const char *name, const char *fmt, ...)
{
	_cleanup(str) struct str detail = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&detail, fmt, args);
	va_end(args);
	findings->add(findings->arg, ok, name, str_text(&detail), NULL);
}

void make_found_mendable(const struct make_findings *findings, const char *name, const char *fix,
                         const char *fmt, ...)
{
	_cleanup(str) struct str detail = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&detail, fmt, args);
	va_end(args);
	findings->add(findings->arg, false, name, str_text(&detail), fix);
}

char *make_directory_of(const struct conf_job *job, const char *below)
{
	_cleanup(free) char *own = job->kind == CONF_JOB_EXPORT
	                                   ? mem_strdup(CONF_EXPORTS)
	                                   : mem_printf("%s/%s", tree_roots[0].name, job->name);

	return below ? mem_printf("%s/%s", own, below) : take_ptr(&own);
}
