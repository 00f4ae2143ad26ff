// Says by its status whether it runs with the privileges of root: 42, or 43.
#include <unistd.h>

int main(void) { return geteuid() == 0 ? 42 : 43; }
