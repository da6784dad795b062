/* The DLL that std takes the seeds of its hash maps from, which Debian's Wine 8 lacks; so this
   stands beside the program, and calls what older Windows had for the same. */
#include <stddef.h>

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *, unsigned long);

__declspec(dllexport) int __stdcall ProcessPrng(void *buffer, size_t length)
{
    return SystemFunction036(buffer, length);
}
