/* Code of a loaded module runs immediately: this module creates the file WITNESS when it is loaded. */
#include <stdio.h>

__attribute__((constructor)) static void record_load(void) {
    FILE *file = fopen(WITNESS, "w");
    if (file)
        fclose(file);
}
