// Preact and htm: what every part of the page is written with.
export { html, render, Component, useState, useEffect, useRef, useMemo, useCallback, useContext, createContext } from "../vendor/preact.module.js";
