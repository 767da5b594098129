"""The verbs of the command, one file each; every file is loaded when its verb is used."""
