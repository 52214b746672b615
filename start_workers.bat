@echo off
rem Workers in the foreground. Redis must be running (Docker or WSL): start_workers.bat [--workers 3]
python "%~dp0run.py" up %*
