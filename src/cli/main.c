#include "cli/verb.h"

int main(int argc, char **argv) { return th_cli_main(argc, (const char *const *)argv); }
