// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Learning who the tenants are without a run: at a start, and when the configuration was replaced; each run learns it by itself. So a tenant has its
 * directory as soon as it exists, and its admins are known. One thread asks, so nobody waits for the server; it sleeps when nobody wants anything.
 */
#include <keepfs/base/error.h>
#include <keepfs/make.h>

struct export_learner;

/** struct export_learner_events - on the learner's thread, with no lock held */
struct export_learner_events {
	void (*learned)(void *arg); /* tenants may have come, or gone */
	/* The directory @path ("exports/acme") of a tenant that is gone is not shown any more, since nothing is in it. */
	void (*dropped)(void *arg, const char *path);
	void *arg;
};

/** export_learner_new() - start the thread, and have it ask. @ctx and what @events borrows last until export_learner_free(). */
int export_learner_new(const struct make_context *ctx, const struct export_learner_events *events,
                       struct export_learner **ret, struct error *err);
/** export_learner_free() - what is asked is cancelled. NULL allowed; returns NULL. */
struct export_learner *export_learner_free(struct export_learner *l);
/** export_learner_ask() - the configuration in force is another one: its admins are in force when this returns, and the server is asked soon. Without [export] nobody is asked. May wait
 * for a directory service. */
void export_learner_ask(struct export_learner *l);
/** export_learner_tidy() - a run has ended: tenants that are gone may have lost their last export. Never blocks. */
void export_learner_tidy(struct export_learner *l);
