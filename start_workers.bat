@echo off
rem Workers in the foreground; Redis must run (Docker or WSL): start_workers.bat [--workers 3]
python "%~dp0run.py" up %*
