/* Included before the extension in a build for tests: after so many allocations the next ones fail. */

#include <stdlib.h>

long allocations_left = -1; /* any number of them if below 0 */

static inline int may_allocate(void)
{
    allocations_left -= allocations_left > 0;
    return allocations_left != 0;
}

#define malloc(size) (may_allocate() ? malloc(size) : NULL)
#define calloc(number, size) (may_allocate() ? calloc(number, size) : NULL)
#define realloc(block, size) (may_allocate() ? realloc(block, size) : NULL)
