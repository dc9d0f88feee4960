// SPDX-License-Identifier: Apache-2.0
/* In place of the C library's: a test that is said to start no thread ends when it, or a library that it uses, does. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *arg)
{
	fputs("this test starts a thread: take it off the list one_thread in tests/unit/meson.build (or is_alone in tests/fuzz/meson.build), so that it is run under ThreadSanitizer as well\n",
	      stderr);
	abort();
}
