/* What Python hands over: the tuples that it makes of a LogFormat, from which programs are made.

   Whatever they hold, it ends in a program or in an exception. */

#pragma once

#include <Python.h>

#include <stddef.h>
#include <string.h>

#include "limits.h"
#include "program.h"

static int check_literal(const char *bytes, Py_ssize_t len)
{
    if (!memchr(bytes, '\n', (size_t)len) && !memchr(bytes, '\r', (size_t)len))
        return 0;
    PyErr_SetString(PyExc_ValueError, "expected text without the ends of lines");
    return -1;
}

/* Of a duration's unit, in nanoseconds: a second has 9. */
static int check_zeros(unsigned zeros)
{
    if (zeros <= 9)
        return 0;
    PyErr_Format(PyExc_ValueError, "expected 0 to 9 zeros, got %u", zeros);
    return -1;
}

/* (head, ((role, is_quoted, is_list, literal), ...)); what is read here runs no Python that could change
 * them. */
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
        int role, is_quoted, is_list;
        if (!PyArg_ParseTuple(PyTuple_GetItem(fields, i), "ippS", &role, &is_quoted, &is_list, &literal) ||
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
        g->fields[i].is_list = is_list;
    }
    return 0;
no_memory:
    PyErr_NoMemory();
    return -1;
}

/* ((role, path, zeros, (member, ...)), ...): of each the zeros of its unit, and the members beside it. */
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
        PyObject *name, *beside;
        char *path;
        Py_ssize_t path_len;
        int role;
        unsigned zeros;
        if (!PyArg_ParseTuple(PyTuple_GetItem(members, i), "iSIO!", &role, &name, &zeros, &PyTuple_Type,
                              &beside) ||
            PyBytes_AsStringAndSize(name, &path, &path_len) < 0 || check_zeros(zeros) < 0)
            return -1;
        if (role <= SKIPPED || role >= ROLES) {
            PyErr_Format(PyExc_ValueError, "expected a role that counts, got %d", role);
            return -1;
        }
        if (add_member(g, (enum role)role, path, (size_t)path_len) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        g->members[i].zeros = zeros;
        for (Py_ssize_t j = 0; j < PyTuple_Size(beside); j++) {
            long member = PyLong_AsLong(PyTuple_GetItem(beside, j));
            if (member < 0 || member >= len) {
                if (!PyErr_Occurred())
                    PyErr_Format(PyExc_ValueError, "expected the number of a member, got %ld", member);
                return -1;
            }
            g->members[i].beside |= (member_set)1 << member;
        }
    }
    return 0;
}

/* ((head, fields, members, zeros, is_lenient, is_combined, is_ltsv), ...): a program and those behind it,
   which have all else of the first one; zeros: those of a duration's unit, of nanoseconds. */
static int set_programs(struct program *g, PyObject *programs)
{
    Py_ssize_t len = PyTuple_Size(programs);
    if (!len) {
        PyErr_SetString(PyExc_ValueError, "expected at least one program");
        return -1;
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        PyObject *head, *fields, *members;
        if (i) {
            struct program *first = g;
            g = g->next = calloc(1, sizeof *g);
            if (!g) {
                PyErr_NoMemory();
                return -1;
            }
            g->keep_query = first->keep_query;
            g->keep_host = first->keep_host;
            g->max_line = first->max_line;
            g->span = first->span;
        }
        PyObject *program = PyTuple_GetItem(programs, i);
        if (!PyTuple_Check(program)) {
            PyErr_SetString(PyExc_TypeError, "expected programs as tuples");
            return -1;
        }
        if (!PyArg_ParseTuple(program, "SO!O!Ippp", &head, &PyTuple_Type, &fields, &PyTuple_Type, &members,
                              &g->zeros, &g->is_lenient, &g->is_combined, &g->is_ltsv) ||
            check_zeros(g->zeros) < 0 || set_fields(g, head, fields) < 0 || set_members(g, members) < 0)
            return -1;
    }
    return 0;
}
