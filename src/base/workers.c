// SPDX-License-Identifier: Apache-2.0
/* Worker threads around one queue. Signals are blocked in them: the main thread takes all signals by
 * signalfd. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct task {
	void (*run)(void *arg);
	void *arg;
	struct task *next;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct task *first, **last; /* lock */
	bool ending;                /* lock */
	unsigned count;
	pthread_t *threads;
};

static void *work(void *arg)
{
	struct workers *w = arg;

	for (;;) {
		struct task *task;

		pthread_mutex_lock(&w->lock);
		while (!w->first && !w->ending)
			pthread_cond_wait(&w->changed, &w->lock);
		task = w->first;
		if (task) {
			w->first = task->next;
			if (!w->first)
				w->last = &w->first;
		}
		pthread_mutex_unlock(&w->lock);
		if (!task)
			return NULL;
		task->run(task->arg);
		free(task);
	}
}

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg)
{
	char short_name[16];
	sigset_t all, before;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	str_copy(short_name, sizeof(short_name), name);
	pthread_setname_np(thread, short_name);
	*ret_thread = thread;
	return 0;
}

struct workers *workers_new(const char *name, unsigned count)
{
	struct workers *w = mem_alloc(sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->last = &w->first;
	w->threads = mem_array(count, sizeof(pthread_t));
	while (w->count < count && thread_start(&w->threads[w->count], name, work, w) == 0)
		w->count++;
	return w->count > 0 ? w : workers_free(w);
}

struct workers *workers_free(struct workers *w)
{
	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->count; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w->threads);
	free(w);
	return NULL;
}

void workers_add(struct workers *w, void (*run)(void *arg), void *arg)
{
	struct task *task = mem_alloc(sizeof(*task));

	task->run = run;
	task->arg = arg;
	pthread_mutex_lock(&w->lock);
	*w->last = task;
	w->last = &task->next;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}
