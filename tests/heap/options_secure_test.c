/* SPDX-License-Identifier: MIT
 *
 * Purpose     A set-user-ID process takes no options from its environment and reads no options file. [options.file.2]
 *             The test copies itself, gives the copy to another user with the set-user-ID bit and starts it; that needs root.
 */
#define _GNU_SOURCE
#include "echo/heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, NOBODY = 65534 };

static int fail(const char* what) {
  fprintf(stderr, "options_secure_test: %s\n", what);
  return 1;
}

/* In the copy: every option of the environment would be refused, were it read. */
static int run_secure(const char* plugin, const char* file) {
  echo_error why = {ECHO_OK, ""};
  echo_heap* heap = NULL;
  char options[4096];
  if (getauxval(AT_SECURE) == 0) {
    printf("skipped: the file system ignores the set-user-ID bit\n");
    return SKIPPED;
  }
  void* const library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    return fail(dlerror());
  }
  const echo_heap_api* (*entry)(uint32_t, uint32_t, echo_error*);
  *(void**)&entry = dlsym(library, "echo_heap_plugin");
  const echo_heap_api* const api = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  if (api == NULL || api->heap_create("max_heap=4m", &heap, &why) != ECHO_OK ||
      api->heap_destroy(heap, &why) != ECHO_OK) {
    return fail(why.message);
  }
  snprintf(options, sizeof options, "file=%s", file);
  if (api->heap_create(options, &heap, &why) != ECHO_WRONG_STATE ||
      strstr(why.message, "set-user-ID") == NULL) {
    return fail("a set-user-ID process reads an options file");
  }
  return 0;
}

static bool copy_file(const char* from, const char* to) {
  static char bytes[1 << 20];
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
  ssize_t got = 0;
  while (in >= 0 && out >= 0 && (got = read(in, bytes, sizeof bytes)) > 0 &&
         write(out, bytes, (size_t)got) == got) {
  }
  const bool done =
      got == 0 && in >= 0 && out >= 0 && fchown(out, NOBODY, NOBODY) == 0 && fchmod(out, 06755) == 0;
  close(in);
  return close(out) == 0 && done;
}

int main(int count, char** arguments) {
  if (count == 4) {
    return run_secure(arguments[1], arguments[2]);
  }
  if (count != 2) {
    return fail("usage: options_secure_test PLUGIN");
  }
  if (getuid() != 0) {
    printf("skipped: only root can give a file to another user\n");
    return SKIPPED;
  }
  char folder[] = P_tmpdir "/options-secure-XXXXXX";
  char program[64];
  char plugin[64];
  char file[64];
  if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0) {
    return fail(strerror(errno));
  }
  snprintf(program, sizeof program, "%s/program", folder);
  snprintf(plugin, sizeof plugin, "%s/plugin.so", folder); /* where the other user can read it */
  snprintf(file, sizeof file, "%s/options", folder);
  int status = 1;
  const int options = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (!copy_file("/proc/self/exe", program) || !copy_file(arguments[1], plugin) ||
      write(options, "max_heap=4m\n", 12) != 12) {
    status = fail(strerror(errno));
  } else {
    setenv("ECHO_HEAP_OPTIONS", "no_such_option=1", 1);
    setenv("ECHO_HEAP_OPTIONS_FILE", "/no/such/file", 1);
    const pid_t child = fork();
    if (child == 0) {
      execl(program, program, plugin, file, "secure", (char*)NULL);
      _exit(127);
    }
    int ended = 0;
    waitpid(child, &ended, 0);
    status = WIFEXITED(ended) ? WEXITSTATUS(ended) : fail("the set-user-ID program was killed");
  }
  close(options);
  unlink(program);
  unlink(plugin);
  unlink(file);
  rmdir(folder);
  return status;
}
