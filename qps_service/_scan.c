/* The native scanner: what _scan_py.py does, at the speed of memory. scan.py is who uses it.

   The limited API of Python 3.11 keeps one build good for every later version. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_scan_core.h"

typedef struct {
    PyObject_HEAD struct scanner scanner;
    struct program program;
    lines_function lines;
    PyObject *spill;
    int is_busy;
} Scanner;

static int check_literal(const char *bytes, Py_ssize_t len)
{
    if (!memchr(bytes, '\n', (size_t)len) && !memchr(bytes, '\r', (size_t)len))
        return 0;
    PyErr_SetString(PyExc_ValueError, "expected text without the ends of lines");
    return -1;
}

/* (head, ((role, is_quoted, literal), ...)); what is read here runs no Python that could change them. */
static int set_fields(struct program *g, PyObject *head, PyObject *fields)
{
    char *bytes;
    Py_ssize_t len, fields_len = PyTuple_Size(fields);
    unsigned known = 0; /* a bit for each role */
    if (PyBytes_AsStringAndSize(head, &bytes, &len) < 0)
        return -1;
    if (check_literal(bytes, len) < 0)
        return -1;
    if (program_open(g, bytes, (size_t)len, (size_t)fields_len) < 0)
        goto no_memory;
    for (Py_ssize_t i = 0; i < fields_len; i++) {
        PyObject *literal;
        int role, is_quoted;
        if (!PyArg_ParseTuple(PyTuple_GetItem(fields, i), "ipS", &role, &is_quoted, &literal) ||
            PyBytes_AsStringAndSize(literal, &bytes, &len) < 0)
            return -1;
        if (role < 0 || role >= ROLES || known >> role & 1) {
            PyErr_Format(PyExc_ValueError, "expected a role, and each once, got %d", role);
            return -1;
        }
        known |= role == SKIPPED ? 0 : 1U << role;
        if (!len && i + 1 < fields_len) {
            PyErr_SetString(PyExc_ValueError, "expected text between two fields");
            return -1;
        }
        if (check_literal(bytes, len) < 0)
            return -1;
        if (add_field(g, (enum role)role, is_quoted, bytes, (size_t)len) < 0)
            goto no_memory;
    }
    return 0;
no_memory:
    PyErr_NoMemory();
    return -1;
}

/* ((role, path), ...) */
static int set_members(struct program *g, PyObject *members)
{
    Py_ssize_t len = PyTuple_Size(members);
    if (len > MEMBERS_LIMIT) {
        PyErr_Format(PyExc_ValueError, "expected at most %d members, got %zd", MEMBERS_LIMIT, len);
        return -1;
    }
    if (!len == !g->fields_len) {
        PyErr_SetString(PyExc_ValueError, "expected either fields or members");
        return -1;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        const char *path;
        Py_ssize_t path_len;
        int role;
        if (!PyArg_ParseTuple(PyTuple_GetItem(members, i), "iy#", &role, &path, &path_len))
            return -1;
        if (role <= SKIPPED || role >= ROLES) {
            PyErr_Format(PyExc_ValueError, "expected a role that counts, got %d", role);
            return -1;
        }
        if (add_member(g, (enum role)role, path, (size_t)path_len) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

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
    for (int i = 0; i < 10; i++)
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
    return Py_BuildValue("(y#y#IKN)", key, (Py_ssize_t)e->method_len, key + e->method_len + 1,
                         (Py_ssize_t)(e->key_len - e->method_len - 1), e->status, e->requests, bytes);
}

static void rows_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    free(((Rows *)object)->entries);
    free(((Rows *)object)->names);
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
    .name = "qps_service._scan.Rows",
    .basicsize = sizeof(Rows),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = rows_slots,
};

/* The table's entries, which it has no longer. */
static PyObject *take_rows(struct table *t, PyTypeObject *type)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct table old = *t;
    Rows *rows = (Rows *)allocate(type, 0);
    if (!rows || table_fill(t) < 0) {
        Py_XDECREF((PyObject *)rows);
        return rows ? PyErr_NoMemory() : NULL;
    }
    rows->entries = old.entries;
    rows->names = old.names;
    rows->len = old.used;
    return (PyObject *)rows;
}

static PyObject *sample_of(const struct scanner *s, PyObject *names)
{
    if (!s->has_sample)
        return Py_BuildValue("");
    return Py_BuildValue("(Oy#)", PyTuple_GetItem(names, s->sample_reason), s->sample,
                         (Py_ssize_t)s->sample_len);
}

/* Everything counted since the last call: (lines, rows, rejects, sample or None, times).

   What fails does so before the rows are taken, so that nothing is lost. */
static PyObject *take(Scanner *self)
{
    struct scanner *s = &self->scanner;
    PyObject *names = NULL, *type = NULL, *rejects = NULL, *times = NULL, *sample = NULL;
    PyObject *rows = NULL, *taken = NULL, *module = PyType_GetModule(Py_TYPE((PyObject *)self));
    uint64_t lines = 0;
    for (int i = 0; i < REASONS; i++)
        lines += s->rejects[i];
    for (uint32_t i = 0; i < s->table.used; i++) {
        lines += s->table.entries[i].requests;
        add_digits(&s->table.entries[i]);
    }
    if (module && (names = PyObject_GetAttrString(module, "REASONS")) &&
        (type = PyObject_GetAttrString(module, "Rows")) && (rejects = reasons_of(s, names)) &&
        (times = times_of(s)) && (sample = sample_of(s, names)) &&
        (taken = Py_BuildValue("(KOOOO)", lines, Py_None, rejects, sample, times)) &&
        (rows = take_rows(&s->table, (PyTypeObject *)type))) {
        PyTuple_SetItem(taken, 1, rows);
        scanner_clear(s);
    } else {
        Py_CLEAR(taken);
    }
    Py_XDECREF(names);
    Py_XDECREF(type);
    Py_XDECREF(rejects);
    Py_XDECREF(times);
    Py_XDECREF(sample);
    return taken;
}

static int spill(struct scanner *s)
{
    Scanner *self = (Scanner *)((char *)s - offsetof(Scanner, scanner));
    PyObject *taken = take(self),
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
    static char *names[] = {"head",       "fields", "members", "is_lenient", "max_line", "spill",
                            "keep_query", "span",   "seed",    "level",      NULL};
    PyObject *head, *fields, *members, *spill_to;
    int is_lenient, keep_query;
    Py_ssize_t max_line, seed_len;
    long long span;
    const char *seed, *level = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SO!O!pnOpLy#|z", names, &head, &PyTuple_Type, &fields,
                                     &PyTuple_Type, &members, &is_lenient, &max_line, &spill_to, &keep_query,
                                     &span, &seed, &seed_len, &level))
        return NULL;
    if (seed_len != sizeof((struct table *)0)->seed || max_line < 0 || max_line > KEY_BYTES_LIMIT / 4 ||
        span < 0)
        return PyErr_Format(PyExc_ValueError,
                            "expected a seed of %zd bytes, a max_line of up to %d and a span",
                            sizeof((struct table *)0)->seed, KEY_BYTES_LIMIT / 4);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Scanner *self = (Scanner *)allocate(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(spill_to);
    self->spill = spill_to;
    self->program.is_lenient = is_lenient;
    self->program.keep_query = keep_query;
    self->program.max_line = (size_t)max_line;
    self->program.span = span;
    if (set_fields(&self->program, head, fields) < 0 || set_members(&self->program, members) < 0 ||
        open_scanner(self, level, (const uint8_t *)seed) < 0) {
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
    PyObject *taken = take(self);
    self->is_busy = 0;
    return taken;
}

static PyObject *scanner_probes(PyObject *object, void *none)
{
    (void)none;
    return PyLong_FromUnsignedLongLong(((Scanner *)object)->scanner.table.probes);
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
    .name = "qps_service._scan.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static int scan_exec(PyObject *module)
{
    int failed = 0;
    PyType_Spec *specs[] = {&scanner_spec, &rows_spec};
    for (int i = 0; i < 2; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        failed |= !type || PyModule_AddType(module, (PyTypeObject *)type) < 0;
        Py_XDECREF(type);
    }
    PyObject *reasons = Py_BuildValue("(sssss)", "fields", "not_http", "status", "bytes", "too_long");
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

static PyModuleDef_Slot scan_slots[] = {{Py_mod_exec, scan_exec}, {0, NULL}};

static struct PyModuleDef scan_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_scan",
    .m_doc = "The native scanner; qps_service.scan picks it.",
    .m_slots = scan_slots,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&scan_module);
}
