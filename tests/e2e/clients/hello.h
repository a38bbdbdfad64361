// CONNECT and the CONNACK that it is answered with, in MQTT 3.1.1: what each client here says when the handshake is
// done.
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char hello[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'c'};
static const unsigned char welcome[] = {0x20, 2, 0, 0};

static int dial(const char* host, const char* port) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo* found = 0;
  int fd = -1;
  if (getaddrinfo(host, port, &hints, &found) == 0) {
    fd = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
      perror("connect");
      fd = -1;
    }
    freeaddrinfo(found);
  }
  return fd;
}

// What the broker answered is what it has to be: the exit code.
static int judge(const unsigned char* answer) {
  if (memcmp(answer, welcome, sizeof welcome) != 0) {
    puts("no CONNACK");
    return 1;
  }
  puts("OK");
  return 0;
}
