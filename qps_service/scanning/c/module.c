/* The Python module: a scanner as a type, which does what the pure scanner does, at the speed of memory.

   It, arguments.h and results.h know Python; nothing else here does, so that all else can be fuzzed without
   it. The limited API of Python 3.11 keeps one build good for every later version. */

#include <Python.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arguments.h"
#include "block.h"
#include "durations.h"
#include "isa.h"
#include "kept_durations.h"
#include "limits.h"
#include "program.h"
#include "results.h"
#include "scanner.h"
#include "sizes.h"
#include "table.h"

typedef struct {
    PyObject_HEAD struct scanner scanner;
    struct program program;
    lines_function lines;
    PyObject *spill;
    int is_busy;
} Scanner;

/* Everything counted since the last call: (lines, rows, rejects, sample or None, times, unmeasured,
   latencies). `rests`: whether this is not in the midst of a block.

   What fails does so before the rows are taken, so that nothing is lost. */
static PyObject *take(Scanner *self, int rests)
{
    struct scanner *s = &self->scanner;
    PyObject *names = NULL, *type = NULL, *rejects = NULL, *times = NULL, *sample = NULL;
    PyObject *latencies_type = NULL, *latencies = NULL;
    PyObject *rows = NULL, *taken = NULL, *module = PyType_GetModule(Py_TYPE((PyObject *)self));
    uint64_t lines = 0;
    durations_settle(&s->durations, s->table.seed[0]);
    for (int i = 0; i < REASONS; i++)
        lines += s->rejects[i];
    for (uint32_t i = 0; i < s->table.used; i++) {
        lines += s->table.entries[i].requests;
        add_digits(&s->table.entries[i]);
    }
    if (module && (names = PyObject_GetAttrString(module, "REASONS")) &&
        (type = PyObject_GetAttrString(module, "Rows")) &&
        (latencies_type = PyObject_GetAttrString(module, "Latencies")) &&
        (latencies = latencies_of(&s->durations, s->table.used, (PyTypeObject *)latencies_type)) &&
        (rejects = reasons_of(s, names)) && (times = times_of(s)) && (sample = sample_of(s, names)) &&
        (taken =
             Py_BuildValue("(KOOOOKO)", lines, Py_None, rejects, sample, times, s->unmeasured, latencies)) &&
        (rows = take_rows(&s->table, (PyTypeObject *)type, rests))) {
        PyTuple_SetItem(taken, 1, rows);
        scanner_clear(s);
    } else {
        Py_CLEAR(taken);
    }
    Py_XDECREF(names);
    Py_XDECREF(type);
    Py_XDECREF(latencies_type);
    Py_XDECREF(latencies);
    Py_XDECREF(rejects);
    Py_XDECREF(times);
    Py_XDECREF(sample);
    return taken;
}

static int spill(struct scanner *s)
{
    Scanner *self = (Scanner *)((char *)s - offsetof(Scanner, scanner));
    PyObject *taken = take(self, 0),
             *done = taken ? PyObject_CallFunctionObjArgs(self->spill, taken, NULL) : NULL;
    Py_XDECREF(taken);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int open_scanner(Scanner *self, const char *level, const uint8_t *seed)
{
    struct scanner *s = &self->scanner;
    for (int i = 0; i < LEVELS_LEN && !self->lines; i++)
        if ((!level || !strcmp(level, LEVELS[i].name)) && level_works(&LEVELS[i]))
            self->lines = LEVELS[i].lines;
    if (!self->lines) {
        PyErr_Format(PyExc_ValueError, "this processor has no %s", level);
        return -1;
    }
    if (scanner_open(s, &self->program, seed, spill) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *scanner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"programs",  "max_line", "spill", "keep_query", "span",
                            "keep_host", "seed",     "level", NULL};
    PyObject *programs, *spill_to, *seed_object;
    int keep_query, keep_host;
    Py_ssize_t max_line, seed_len;
    long long span;
    char *seed;
    const char *level = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!nOpLpS|z", names, &PyTuple_Type, &programs, &max_line,
                                     &spill_to, &keep_query, &span, &keep_host, &seed_object, &level) ||
        PyBytes_AsStringAndSize(seed_object, &seed, &seed_len) < 0)
        return NULL;
    if (seed_len != sizeof((struct table *)0)->seed || max_line < 0 || max_line > LINE_LIMIT || span < 0)
        return PyErr_Format(PyExc_ValueError,
                            "expected a seed of %zd bytes, a max_line of up to %d and a span",
                            sizeof((struct table *)0)->seed, LINE_LIMIT);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Scanner *self = (Scanner *)allocate(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(spill_to);
    self->spill = spill_to;
    self->program.keep_query = keep_query;
    self->program.keep_host = keep_host;
    self->program.max_line = (size_t)max_line;
    self->program.span = span;
    if (set_programs(&self->program, programs) < 0 || open_scanner(self, level, (const uint8_t *)seed) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int scanner_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Scanner *)object)->spill);
    return 0;
}

static int scanner_drop(PyObject *object)
{
    Py_CLEAR(((Scanner *)object)->spill);
    return 0;
}

static void scanner_dealloc(PyObject *object)
{
    Scanner *self = (Scanner *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    scanner_drop(object);
    program_close(&self->program);
    scanner_close(&self->scanner);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Whatever Python runs may come back here: a spill, or a finalizer while something is allocated. */
static int is_idle(const Scanner *self)
{
    if (self->is_busy)
        PyErr_SetString(PyExc_RuntimeError, "the scanner is busy");
    return !self->is_busy;
}

static PyObject *scanner_scan(PyObject *object, PyObject *block)
{
    Scanner *self = (Scanner *)object;
    struct scanner *s = &self->scanner;
    Py_buffer view;
    if (!is_idle(self))
        return NULL;
    if (PyObject_GetBuffer(block, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    self->is_busy = 1;
    int failed = scan_block(s, self->lines, view.buf, (size_t)view.len) < 0;
    self->is_busy = 0;
    PyBuffer_Release(&view);
    if (failed) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return NULL;
    }
    return Py_BuildValue("(KK)", s->block_lines, s->block_rejects);
}

static PyObject *scanner_reject_oversize(PyObject *object, PyObject *start)
{
    char *bytes;
    Py_ssize_t len;
    if (!is_idle((Scanner *)object) || PyBytes_AsStringAndSize(start, &bytes, &len) < 0)
        return NULL;
    reject(&((Scanner *)object)->scanner, TOO_LONG, (const uint8_t *)bytes, (size_t)len);
    Py_RETURN_NONE;
}

static PyObject *scanner_take(PyObject *object, PyObject *none)
{
    (void)none;
    Scanner *self = (Scanner *)object;
    if (!is_idle(self))
        return NULL;
    self->is_busy = 1;
    PyObject *taken = take(self, 1);
    if (taken)
        scanner_shrink(&self->scanner);
    self->is_busy = 0;
    return taken;
}

static PyObject *scanner_probes(PyObject *object, void *none)
{
    (void)none;
    return PyLong_FromUnsignedLongLong(((Scanner *)object)->scanner.table.probes);
}

static PyObject *scanner_held(PyObject *object, void *none)
{
    (void)none;
    const struct scanner *s = &((Scanner *)object)->scanner;
    const struct table *t = &s->table;
    uint64_t durations = s->durations.used * sizeof(struct group) +
                         (s->durations.room ? t->used * sizeof(struct duration_sum) : 0);
    return PyLong_FromUnsignedLongLong(t->used * sizeof *t->entries + t->names_used + durations);
}

static PyMethodDef scanner_methods[] = {
    {"scan", scanner_scan, METH_O,
     "Count each line of a block; how many there were, and how many were rejected."},
    {"reject_oversize", scanner_reject_oversize, METH_O,
     "Count one line that was too long to be handed over."},
    {"take", scanner_take, METH_NOARGS, "What was found since the last call."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scanner_getset[] = {
    {"held", scanner_held, NULL, "Bytes of what was counted since the last call of take().", NULL},
    {"probes", scanner_probes, NULL, "Slots of the table that were looked at in vain so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, "Counts the lines of blocks."},
    {Py_tp_new, scanner_new},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_traverse, scanner_traverse},
    {Py_tp_clear, scanner_drop},
    {Py_tp_methods, scanner_methods},
    {Py_tp_getset, scanner_getset},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "qps_service.scanning._scan.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static int scan_exec(PyObject *module)
{
    int failed = 0;
    PyType_Spec *specs[] = {&scanner_spec, &rows_spec, &latencies_spec};
    for (int i = 0; i < 3; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        failed |= !type || PyModule_AddType(module, (PyTypeObject *)type) < 0;
        Py_XDECREF(type);
    }
    PyObject *reasons = Py_BuildValue("(sss)", "fields", "status", "too_long");
    failed |= PyModule_AddObjectRef(module, "REASONS", reasons) < 0;
    Py_XDECREF(reasons);
    PyObject *levels = PyList_New(0);
    for (int i = 0; levels && i < LEVELS_LEN; i++) {
        PyObject *name = level_works(&LEVELS[i]) ? PyUnicode_FromString(LEVELS[i].name) : NULL;
        failed |= name && PyList_Append(levels, name) < 0;
        Py_XDECREF(name);
    }
    failed |= PyModule_AddObjectRef(module, "LEVELS", levels) < 0;
    Py_XDECREF(levels);
    failed |= PyModule_AddIntConstant(module, "KEYS_LIMIT", KEYS_LIMIT) < 0 ||
              PyModule_AddIntConstant(module, "KEY_BYTES_LIMIT", KEY_BYTES_LIMIT) < 0 ||
              PyModule_AddIntConstant(module, "TIMES_LIMIT", TIMES_LIMIT) < 0 ||
              PyModule_AddIntConstant(module, "SEED_BYTES", sizeof((struct table *)0)->seed) < 0;
    return failed ? -1 : 0;
}

static PyObject *add_durations(PyObject *module, PyObject *args)
{
    (void)module;
    char *kept;
    Py_ssize_t len;
    PyObject *sums_object, *bytes, *told = NULL;
    Py_buffer sums = {0};
    uint64_t total, longest;
    if (!PyArg_ParseTuple(args, "SO", &bytes, &sums_object) ||
        PyBytes_AsStringAndSize(bytes, &kept, &len) < 0 ||
        (sums_object != Py_None && PyObject_GetBuffer(sums_object, &sums, PyBUF_WRITABLE | PyBUF_FORMAT) < 0))
        return NULL;
    if (sums.obj && (sums.len != KEPT_BINS * sizeof(uint64_t) || strcmp(sums.format, "Q") != 0 ||
                     (uintptr_t)sums.buf % sizeof(uint64_t)))
        PyErr_SetString(PyExc_ValueError, "expected an array of a number for each bin");
    else if (add_kept((const uint8_t *)kept, (size_t)len, sums.buf, &total, &longest))
        told = Py_BuildValue("(KK)", total, longest);
    else
        PyErr_SetString(PyExc_ValueError, "durations are damaged");
    PyBuffer_Release(&sums);
    return told;
}

static PyMethodDef scan_functions[] = {
    {"add_durations", add_durations, METH_VARARGS,
     "Add requests by bin that were kept so to an array, if there is one; their sum, and the longest."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot scan_slots[] = {{Py_mod_exec, scan_exec}, {0, NULL}};

static struct PyModuleDef scan_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_scan",
    .m_doc = "The native scanner, as a type; and what adds up durations that are kept.",
    .m_methods = scan_functions,
    .m_slots = scan_slots,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&scan_module);
}
