/* The version, from the Makefile. */
#ifndef RUNG_VERSION_H
#define RUNG_VERSION_H

#ifndef RUNG_VERSION
#define RUNG_VERSION "unknown"
#endif

#endif
