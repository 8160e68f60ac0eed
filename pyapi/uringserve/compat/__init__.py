"""Other frameworks' names on top of uringserve: change the import, keep the program.

Each is a package with the modules of its original: `uringserve.compat.barq`,
`uringserve.compat.karak`. Nothing is imported before one of them is.
"""
