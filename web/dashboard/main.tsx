import { startPage } from '../kit/Start.tsx';

startPage('dashboard', () => <main>Dashboard</main>);
