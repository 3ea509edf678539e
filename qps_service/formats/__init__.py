"""What a line of a log means: a format is made of a text, and a line is read by it.

Pure. `line` is the reference that every scanner follows, slowly and readably; read it first.

- `presets`: a format's text, or its name, to a `LogFormat`
- `log_format`: what a format is: fields, literals, members
- `nginx`, `apache`, `json_lines`: the languages of formats; `source_text` is what they share
- `line`, `combined`, `json_members`, `timestamps`: what a line, one of the combined family, an object of JSON
  and a time mean
- `detection`: which format a log has, by its lines
- `explanation`: what decides about a line, for people
"""
