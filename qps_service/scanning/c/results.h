/* What Python gets: what was counted, as the Scanned of Python is made of.

   What fails does so with an exception, and leaves what was counted where it was. */

#pragma once

#include <Python.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "durations.h"
#include "scanner.h"
#include "table.h"

static PyObject *reasons_of(const struct scanner *s, PyObject *names)
{
    PyObject *rejects = PyDict_New();
    for (int i = 0; rejects && i < REASONS; i++) {
        if (!s->rejects[i])
            continue;
        PyObject *lines = PyLong_FromUnsignedLongLong(s->rejects[i]);
        if (!lines || PyDict_SetItem(rejects, PyTuple_GetItem(names, i), lines) < 0)
            Py_CLEAR(rejects);
        Py_XDECREF(lines);
    }
    return rejects;
}

static PyObject *times_of(const struct scanner *s)
{
    PyObject *times = PyDict_New();
    uint64_t untimed = 0;
    for (int i = 0; i < STATUS_CLASSES; i++)
        untimed += s->untimed[i];
    for (size_t i = 0; times && i < s->times_len + (untimed > 0); i++) {
        const uint64_t *n = i < s->times_len ? s->times[i].requests : s->untimed;
        PyObject *begin = i < s->times_len ? PyLong_FromLongLong(s->times[i].begin) : Py_BuildValue("");
        PyObject *requests =
            begin ? Py_BuildValue("[KKKKKKKKKK]", n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9])
                  : NULL;
        if (!requests || PyDict_SetItem(times, begin, requests) < 0)
            Py_CLEAR(times);
        Py_XDECREF(begin);
        Py_XDECREF(requests);
    }
    return times;
}

/* lower + (upper << 64) */
static PyObject *sum_of(uint64_t lower, uint64_t upper)
{
    PyObject *low = PyLong_FromUnsignedLongLong(lower);
    if (!upper || !low)
        return low;
    PyObject *high = PyLong_FromUnsignedLongLong(upper), *bits = PyLong_FromLong(64);
    PyObject *shifted = high && bits ? PyNumber_Lshift(high, bits) : NULL;
    PyObject *sum = shifted ? PyNumber_Add(shifted, low) : NULL;
    Py_DECREF(low);
    Py_XDECREF(high);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return sum;
}

/* What was counted: a sequence of (method, target, status, requests, bytes). Each is made when it is asked
   for, since there may be many, and few of them at a time are looked at. */
typedef struct {
    PyObject_HEAD struct entry *entries;
    uint8_t *names;
    uint32_t len;
    size_t names_len;
    int rests; /* whether its memory goes back to the kernel */
} Rows;

static Py_ssize_t rows_length(PyObject *object)
{
    return ((Rows *)object)->len;
}

static PyObject *rows_item(PyObject *object, Py_ssize_t i)
{
    const Rows *self = (const Rows *)object;
    if (i < 0 || i >= self->len) {
        PyErr_SetString(PyExc_IndexError, "there are no more rows");
        return NULL;
    }
    const struct entry *e = &self->entries[i];
    const char *key = (const char *)self->names + e->key;
    PyObject *bytes = sum_of(e->bytes, e->more_bytes);
    if (!bytes)
        return NULL;
    return Py_BuildValue("(NNIKN)", PyBytes_FromStringAndSize(key, e->method_len),
                         PyBytes_FromStringAndSize(key + e->method_len + 1, e->key_len - e->method_len - 1),
                         e->status, e->requests, bytes);
}

static void rows_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const Rows *self = (const Rows *)object;
    if (self->rests) {
        give_back(self->entries, self->len * sizeof *self->entries);
        give_back(self->names, self->names_len);
    }
    free(self->entries);
    free(self->names);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyType_Slot rows_slots[] = {
    {Py_tp_doc, "What was counted: (method, target, status, requests, bytes) of each key."},
    {Py_tp_dealloc, rows_dealloc},
    {Py_sq_length, rows_length},
    {Py_sq_item, rows_item},
    {0, NULL},
};

static PyType_Spec rows_spec = {
    .name = "qps_service.scanning._scan.Rows",
    .basicsize = sizeof(Rows),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = rows_slots,
};

/* The table's entries, which it has no longer; whether it rests then, or is used at once. */
static PyObject *take_rows(struct table *t, PyTypeObject *type, int rests)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct table old = *t;
    Rows *rows = (Rows *)allocate(type, 0);
    if (!rows || table_fill(t, rests) < 0) {
        Py_XDECREF((PyObject *)rows);
        return rows ? PyErr_NoMemory() : NULL;
    }
    rows->entries = old.entries;
    rows->names = old.names;
    rows->len = old.used;
    rows->names_len = old.names_used;
    rows->rests = rests;
    return (PyObject *)rows;
}

/* The durations of each row: a sequence of (bins, total, longest), made when it is asked for, or None. */
typedef struct {
    PyObject_HEAD struct group *groups; /* by their entries */
    struct duration_sum *sums;          /* of each */
    uint32_t *starts;                   /* where the groups of each begin, and where the last ones end */
    uint32_t len;
} Latencies;

static Py_ssize_t latencies_length(PyObject *object)
{
    return ((Latencies *)object)->len;
}

static PyObject *latencies_item(PyObject *object, Py_ssize_t i)
{
    const Latencies *self = (const Latencies *)object;
    if (i < 0 || i >= self->len) {
        PyErr_SetString(PyExc_IndexError, "there are no more rows");
        return NULL;
    }
    if (self->starts[i] == self->starts[i + 1])
        return Py_BuildValue("");
    PyObject *bins = PyDict_New();
    for (uint32_t at = self->starts[i] * GROUP_BINS; bins && at < self->starts[i + 1] * GROUP_BINS; at++) {
        const struct group *group = &self->groups[at / GROUP_BINS];
        if (!group->requests[at % GROUP_BINS])
            continue;
        PyObject *index = PyLong_FromUnsignedLong(first_bin_of(group) + at % GROUP_BINS);
        PyObject *requests = PyLong_FromUnsignedLong(group->requests[at % GROUP_BINS]);
        if (!index || !requests || PyDict_SetItem(bins, index, requests) < 0)
            Py_CLEAR(bins);
        Py_XDECREF(index);
        Py_XDECREF(requests);
    }
    return bins ? Py_BuildValue("(NKK)", bins, self->sums[i].total, self->sums[i].longest) : NULL;
}

static void latencies_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const Latencies *self = (const Latencies *)object;
    free(self->groups);
    free(self->sums);
    free(self->starts);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyType_Slot latencies_slots[] = {
    {Py_tp_doc, "The durations of each row: (bins, total, longest), or None."},
    {Py_tp_dealloc, latencies_dealloc},
    {Py_sq_length, latencies_length},
    {Py_sq_item, latencies_item},
    {0, NULL},
};

static PyType_Spec latencies_spec = {
    .name = "qps_service.scanning._scan.Latencies",
    .basicsize = sizeof(Latencies),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = latencies_slots,
};

/* Those of so many entries, copied; an empty tuple where there are none. */
static PyObject *latencies_of(const struct durations *d, uint32_t entries, PyTypeObject *type)
{
    if (!d->used)
        return PyTuple_New(0);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Latencies *latencies = (Latencies *)allocate(type, 0);
    if (!latencies)
        return NULL;
    uint32_t *starts = latencies->starts = calloc((size_t)entries + 2, sizeof *starts);
    latencies->groups = calloc(d->used, sizeof *latencies->groups);
    latencies->sums = calloc(entries, sizeof *latencies->sums);
    if (!starts || !latencies->groups || !latencies->sums) {
        Py_DECREF((PyObject *)latencies);
        return PyErr_NoMemory();
    }
    latencies->len = entries;
    memcpy(latencies->sums, d->sums, entries * sizeof *d->sums);
    /* Counted two places behind: then each place is where the next of its entry goes, and in the end where
       those of the next entry begin. */
    for (uint32_t i = 0; i <= d->slot_mask; i++)
        if (d->groups[i].key)
            starts[entry_of(d->groups[i].key) + 2]++;
    for (uint32_t i = 2; i < entries + 2; i++)
        starts[i] += starts[i - 1];
    for (uint32_t i = 0; i <= d->slot_mask; i++)
        if (d->groups[i].key)
            latencies->groups[starts[entry_of(d->groups[i].key) + 1]++] = d->groups[i];
    return (PyObject *)latencies;
}

static PyObject *sample_of(const struct scanner *s, PyObject *names)
{
    if (!s->has_sample)
        return Py_BuildValue("");
    return Py_BuildValue("(ON)", PyTuple_GetItem(names, s->sample_reason),
                         PyBytes_FromStringAndSize((const char *)s->sample, (Py_ssize_t)s->sample_len));
}
