"""Viewers by WHEP: each picture is compressed once, for all who view it."""
