/* Preloaded into a process, it moves the wall clock by the seconds that the file $SHIFT_FILE says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);

static long shift(void) {
  static long known = 0, read_at = 0;
  struct timespec now;
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  long milliseconds = now.tv_sec * 1000 + now.tv_nsec / 1000000;
  if (read_at == 0 || milliseconds - read_at > 5) {
    const char *path = getenv("SHIFT_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    long value;
    read_at = milliseconds;
    if (file) {
      if (fscanf(file, "%ld", &value) == 1) known = value;
      fclose(file);
    }
  }
  return known;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real_clock_gettime(clock, time);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += shift();
  return failed;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  (void)zone;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return failed;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
