// The looks: Fluent UI in the colour of old bronze. Follows the system unless the person chose otherwise.
import { FluentProvider } from '@fluentui/react-provider';
import { type BrandVariants, createDarkTheme, createLightTheme, type Theme } from '@fluentui/react-theme';
import { createContext, type ReactNode, use, useEffect, useState, useSyncExternalStore } from 'react';
import './base.css';

export type Mode = 'system' | 'light' | 'dark';

// Verdigris, from a bell's shadow to its light: OKLCH hue 182 in even steps, `80` has 5.7:1 against white.
// biome-ignore format: a table
const verdigris: BrandVariants = {
  10: '#00110e', 20: '#00201c', 30: '#002e28', 40: '#003d35', 50: '#004840', 60: '#00544b', 70: '#026359', 80: '#077367',
  90: '#0c8779', 100: '#1d9a8b', 110: '#35aa9a', 120: '#50b9a9', 130: '#6dc7b8', 140: '#8cd5c8', 150: '#b0e4da', 160: '#d6f2ed',
};

const fonts = {
  fontFamilyBase:
    "'Segoe UI Variable Text', 'Segoe UI', -apple-system, BlinkMacSystemFont, Inter, system-ui, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'Cascadia Code', 'SF Mono', Menlo, Consolas, monospace",
};

const light: Theme = { ...createLightTheme(verdigris), ...fonts };
const dark: Theme = {
  ...createDarkTheme(verdigris),
  ...fonts,
  colorNeutralBackground1: '#1b2120',
  colorNeutralBackground1Hover: '#252d2b',
  colorNeutralBackground1Pressed: '#161b1a',
  colorNeutralBackground1Selected: '#263330',
  colorNeutralBackground2: '#151a19',
  colorNeutralBackground3: '#0f1312',
  colorNeutralStroke1: '#4a5552',
  colorNeutralStroke2: '#333d3a',
  colorNeutralStroke3: '#262e2c',
  colorBrandForeground1: verdigris[120],
  colorBrandForeground2: verdigris[130],
};

const ModeContext = createContext<{ readonly mode: Mode; readonly setMode: (mode: Mode) => void }>({
  mode: 'system',
  setMode: () => {},
});
export const useMode = () => use(ModeContext);

export function Themed({ children }: { readonly children: ReactNode }) {
  const [mode, setMode] = useState(storedMode);
  const systemDark = useSyncExternalStore(watchSystem, () => systemQuery.matches);
  const isDark = mode === 'system' ? systemDark : mode === 'dark';
  useEffect(() => {
    document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
    localStorage.setItem('carillon.mode', mode);
  }, [mode, isDark]);
  return (
    <ModeContext value={{ mode, setMode }}>
      <FluentProvider theme={isDark ? dark : light} className="tokens">
        <div className="app">{children}</div>
      </FluentProvider>
    </ModeContext>
  );
}

const systemQuery = window.matchMedia('(prefers-color-scheme: dark)');

function watchSystem(changed: () => void): () => void {
  systemQuery.addEventListener('change', changed);
  return () => systemQuery.removeEventListener('change', changed);
}

function storedMode(): Mode {
  const stored = localStorage.getItem('carillon.mode');
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}
