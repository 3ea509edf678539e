"""What a line of a log means: a format is made of a text, and a line is read by it.

Pure. `line` is the reference that every scanner follows, slowly and readably; read it first. It has
`request_of`, and a function for each value (`status_of`), with a twin of its name in scanning/c/values.h.

- `presets`: a format's text, or its name, to a `LogFormat`
- `log_format`: what a format is: fields, literals, members
- `nginx`, `apache`, `json_lines`, `ltsv`: the languages of formats; `source_text` is what the first two share
- `line`, `combined`, `named_fields`, `json_members`, `timestamps`: what a line, one of the combined family,
  labels, an object of JSON and a time mean
- `wrapping`: what others put around a line
- `detection`: which format a log has, by its lines
- `explanation`: what decides about a line, for people
"""
