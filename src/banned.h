// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Calls that must not be used, because each of them has made trouble in many programs: a write without a bound, a
 * cut without a word, a parse without an error, a static buffer that threads share, or a jump over cleanup. Using
 * one is an error of the compiler. meson includes this file before everything else (src/meson.build).
 *
 *   strcpy strcat sprintf vsprintf          str_copy(), str_append(), snprintf(): they know the size
 *   strncpy strncat                         str_copy(): always ends with a NUL
 *   strtok asctime ctime gmtime localtime   strcspn(), strtok_r(), gmtime_r(): no state that threads share
 *   atoi atol atoll atof                    strtoll(), and look at errno and the end
 *   alloca                                  mem_array(): the stack has an end
 *   rand tmpnam mktemp tempnam              getrandom(), mkstemp(): nobody can guess them
 *   popen                                   proc_start(): arguments are no text for a shell
 *   sleep usleep setjmp longjmp             wait for a state; return an error
 */
#include <alloca.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define BANNED(call) call##_is_banned_see_banned_h

#undef strcpy
#define strcpy(...) BANNED(strcpy)
#undef strcat
#define strcat(...) BANNED(strcat)
#undef strncpy
#define strncpy(...) BANNED(strncpy)
#undef strncat
#define strncat(...) BANNED(strncat)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef strtok
#define strtok(...) BANNED(strtok)
#undef asctime
#define asctime(...) BANNED(asctime)
#undef ctime
#define ctime(...) BANNED(ctime)
#undef gmtime
#define gmtime(...) BANNED(gmtime)
#undef localtime
#define localtime(...) BANNED(localtime)
#undef atoi
#define atoi(...) BANNED(atoi)
#undef atol
#define atol(...) BANNED(atol)
#undef atoll
#define atoll(...) BANNED(atoll)
#undef atof
#define atof(...) BANNED(atof)
#undef alloca
#define alloca(...) BANNED(alloca)
#undef rand
#define rand(...) BANNED(rand)
#undef tmpnam
#define tmpnam(...) BANNED(tmpnam)
#undef mktemp
#define mktemp(...) BANNED(mktemp)
#undef tempnam
#define tempnam(...) BANNED(tempnam)
#undef popen
#define popen(...) BANNED(popen)
#undef sleep
#define sleep(...) BANNED(sleep)
#undef usleep
#define usleep(...) BANNED(usleep)
#undef setjmp
#define setjmp(...) BANNED(setjmp)
#undef longjmp
#define longjmp(...) BANNED(longjmp)
